"""What is wrong with a file that somebody sent, in Chinese: the readers' own errors are English (see `words.translate`).

Kept in one place because all areas that take files read them with the same readers (`sheets`, `rows`).
"""

from __future__ import annotations

_AT = r"^(.+?)(?:, row (\d+))?: "

FILES = (
    # Tables (wardround.sheets).
    (_AT + r"larger than (\d+) MB", r"\1：超过 \3 MB，请拆分后再传。"),
    (_AT + r"an old Excel file", r"\1：是旧版 Excel 文件（.xls），请另存为 .xlsx 或 CSV。"),
    (_AT + r"more than (\d+) rows or (\d+) columns", r"\1：超过 \3 行或 \4 列，请拆分后再传。"),
    (r"^(.+?): empty$", r"\1：是空的。第一行应为表头。"),
    (_AT + r"not (utf-8|utf-16|gb18030): ", r"\1：按 \3 读不通，请重新另存为 CSV UTF-8。"),
    (r"^(.+?), row (\d+): malformed CSV", r"\1 第 \2 行：不是完整的 CSV（引号没有成对），请重新另存。"),
    (_AT + r"not a readable XLSX file", r"\1：读不出这个 XLSX 文件，请重新另存，或存为 CSV UTF-8。"),
    (_AT + r"unpacks to more than", r"\1：解压后过大，请拆分后再传。"),
    (r"reading one needs openpyxl", "服务器未安装读取 XLSX 的组件，请另存为 CSV UTF-8 再传。"),
    # Rows of JSON (wardround.rows).
    (r"^(.+?): not a JSON array", r"\1：不是完整的 JSON 数组。"),
    (r"^(.+?), row (\d+): malformed JSON", r"\1 第 \2 行：不是完整的 JSON。"),
    (r"^(.+?), row (\d+): a .*not an object", r"\1 第 \2 行：不是一个 JSON 对象。"),
    (r"^(.+?): neither UTF-8 nor GB18030", r"\1：编码既不是 UTF-8 也不是 GB18030，请重新另存。"),
    # A survey's answers and samples.
    (r"^(.+?): not a mapping", r"\1：不是可用的对照文件。"),
    (r"^the mapping names columns that are not there: (.+)", r"对照文件里写了表中没有的列：\1。"),
    (r"^the mapping has targets this survey doesn't: (.+)", r"对照文件里有本调查没有的目标：\1。"),
    (r"^the mapping's questions: no dimension (.+)", r"对照文件的 questions 里没有这个维度：\1。"),
    (r"^two columns are (.+): “(.+)” and “(.+)”", r"“\2”和“\3”两列都认作 \1。请在对照文件里写明，或略去一列。"),
    (r"^(.+?), row (\d+): no ((?:task|answer|model)\b.*)", r"\1 第 \2 行：缺少 \3。"),
    (r"^(.+?), row (\d+): labels is no list", r"\1 第 \2 行：labels 不是列表。"),
    (r"^no task (.+) in this survey", r"本调查没有这个任务：\1。"),
    # The candidates of a study.
    (r"can't name a study", "短名只能用小写字母、数字和连字符。"),
    (r"^there is a study (.+) already", r"已有名为 \1 的评审，请换一个短名。"),
    (r"^item (.+) comes twice", r"条目 \1 出现了两次；每条的 key 应各不相同。"),
    (r"^there is nothing to review", "文件里没有可以评审的条目。"),
    (r"the model's address holds a password", "模型地址里有密码。请去掉，改用环境变量 WARDROUND_API_KEY。"),
)  # fmt: skip
"""An error's text → the Chinese, in which \\1 stands for what the first brackets matched."""
