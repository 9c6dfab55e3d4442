"""Names of people, by cue. A name alone, without any cue, is not looked for.

What counts as a cue: a label with a colon (姓名：, 主治医师：), a role word straight before (患者…, 家属…, 我叫…), a title
straight behind (…医生, …护士长), sex, age or a telephone number straight behind, a line or cell that holds nothing
else. The weaker the cue, the more the word must look like a name: a surname, then one or two characters used
in given names, and none of the words that begin like a name (高血压, 黄疸, 白细胞, 安静, 方可, 连续 …). A surname before a
title (王医生) counts too. A name found anywhere in a document is found in all of it (see `privacy`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wardround.corpus.privacy_spans import HAN, Doubt, Span, either, holds, overlaps

_COMPOUND = (
    "欧阳|太史|端木|上官|司马|东方|独孤|南宫|万俟|闻人|夏侯|诸葛|尉迟|公羊|赫连|澹台|皇甫|宗政|濮阳|公冶|太叔|申屠|公孙|慕容|仲孙|钟离|长孙|宇文|司徒|鲜于|司空|"
    "闾丘|子车|亓官|司寇|巫马|公西|颛孙|壤驷|公良|漆雕|乐正|宰父|谷梁|拓跋|轩辕|令狐|段干|百里|呼延|东郭|南门|羊舌|梁丘|左丘|西门|纳兰|完颜|叶赫"
)
_SINGLE = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦"
    "江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申尤毕聂丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜肖詹关苗凌"
    "费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯阮桂闵解强柴华车冉房边辜吉饶刁瞿戚丘古米池滕晋苑邬臧畅宫来嵺苟全褚廉简娄盖符奚木穆党燕"
    "郎邸冀谈姬屠连郜晏栾郁商蒙计喻揭窦迟宇敖糜鄢冷卓花仇艾蓝都巩稽井练仲乐虞卞封竺冼原官衣楚佟栗匡宗应台巫鞠僧桑荆谌银扬明沙薄伏岑习胥保和蔺水云昌凤酆皮卡索"
)
# Characters that do not stand in given names: function words, the body and its ills, numbers and units.
_NEVER = (
    "的了是有无不未于因在后前内外上下左右及与或并但而且就也都还又很更最这那此其他她它我你您们个些什么吗呢吧啊呀痛疼病炎症血尿便咳嗽痰喘热烧肿胀瘤癌疮疹痒痉挛"
    "瘫痪昏迷晕吐泻秘脓溃疡疤骨折伤肝肾肺胃肠脾胰胆脏腑膜腺颈腹背臀腿脚踝膝肘腕指趾头额眼耳鼻喉咽舌齿牙唇腔胸腰肛阴茎道管脉搏细胞素药片剂粒丸汤服吃喝睡醒"
    "坐卧躺走跑检查诊断治疗手术入出院住转送至到去往回被把让给对从向由经过曾已将要会能应需须请问题说话告诉叙述发现感觉觉得出现存在进行开始结束停止继续"
    "岁月日号时分秒年周次天半每各某几多少两第零百千万亿数量度压温率值型级期类种色部位处区侧面端体身尸肉皮肤毛发甲汗泪涎涕屎溲孕妊娠产胎宫卵精液腹"
    "患者属室科床号码电姓名别职业性格男女同意拒绝签字目前近昨今明早晚夜间上午下午刚才常规异常者等之所以为何如果当则即只仅没非可否否则再便于"
)
_NEVER_SET = frozenset(_NEVER) - frozenset("明晚夜宫素发道开万千百早一宇天可行发东中上会开成如")
# Characters common in given names; the weaker cues ask for them.
_GIVEN = frozenset(
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂红玉梅建国华文波志海峰云飞龙凤春花玲珍燕萍荣金银宝珠翠雅芝香莲菊琴琳琦琪瑶瑾璐璇瑞瑜珊珂珏珺玥玫玮环琼琛瑛"
    "璟琰琬瑄瑗璋璞淑贤惠慧婷婉娇姣娥婵媛嫣妍妮姝姗娴娅婕婧嫦莉茜莎蓉薇蕾茹芸芬芹苓英苹茵菲萱蓓蕊蕴芷若菁菡蔓荷莹萌萧葵蒙蔚薪藝艺苒芮苇茂芃蕙欣怡悦恬恒慎"
    "忠思念恩惟愉愫慈懿憬志诚诗语谦让诺谊词诠谨俊健伦仁义礼智信佳俐依侠保修倩偉杰儒佑佐仪仕任伯伟仲传倪俞伊亿俪倍光先克兆元兴典冠冰凌凯刚力励勇勤升卓博卫占卿厚"
    "友双发叔名君启吉向善喜嘉图圆坚坤培增士壮声多大天太夫奇奕好如妙妹孝孟季学宁宇守安定宏宗宜宝实宣家宸容宾富寒寅尚尧屹山岚岩岭岳峻崇嵩川州巧巍帅帆平年广庆康庭建弘"
    "强彤彦彩彬彭影征徐德心必怀恺恩慕成扬承振挺捷政敬斌新方旭昂昆昊昌明易星映春昭显晏晓晔晖晗晟晨景晴智暄曦曼曙月朋朗望木本朴权来松林果枫柏柔柯栋树根格桃桐桦梁"
    "梓梦森楚楠楷榕槐樱橙欢歌正武毅民永江汉池沁沐沛沙河沂泉法泓泰泽洁洪洲津浩浦涵淇淋淳清渊渝温源溪滔滢滨漪漫潇潔澄澜澍濡瀚瀛灏灵炎炜炫炳焕焱煜煊照煦熙熠燕爱爽牧"
    "珑理瑶生用田申男甫畅略白百皓盈盛眉真睿石硕磊祖祥祯禄福禹秀秋程稳穆立竹笑笛筠筱简紫红纪纯纲纬绍经绮维绿绣缘群翔翰翠翼耀聪肖胜胤育能臣自致舒航良艾芊苑范荔莘菀"
    "蓝藤虎虹蝶行裕西言训谷豪贝贞贤贵赞超越跃路辉达运进远迪逸遥道邦郁采金鑫钊钧钢铁铭锋锐锦键镇长闯闻阔阳阿隆雁雄雅雨雪雯雲雷霄震霆霏霓霖露青静韬韵顺颂颖颜风飞馨"
    "驰驹骁骏骥高魁鲁鸣鸿鹃鹏鹤麒麟黎齐龄龙念一乃之二三四五六九七八丹乐也乔亚亦京亭亮人今仙以令兮全冉再列初利前勋化北千华南卉原可叶同向吟含吾周品哲唐商圣地城堂塬夏"
    "夕外夜妤姬娣娆婳媚嫚子孜孙寸小少峥峦巳己师希帝干幸幼弋弟弦彗彰往律得微忆怿恋情惜愿懋成戈扉拓拾挚捷攸敏文斐斯旋旗无日旦旻昱晋晶曜曾有朔未杉李杏杜来杨林柠柳栩栖桑"
    "棋棠楚榆槿橦款止毓水汐汝沅沄泊洛洵洺济浅浠涓涟涣润淙淼渺湄湘湛溢滟漾潼澈焓然煖燃燚爰献玄率王玑珀珈珞珩球琅琢琨瑚璧甜甯田甲畅登皎皖盼盾睦瞳砚祁祎祐祺禧"
    "美佩东可行天佰佟其凝刘华剑功加助勃勉勋千协占印古召史司吕听唯喆嘉固在垚域墨复奔奥好姿孔孜宛宽密察小少尔尼尉岱峪工布希常干应廷开异弟当得循志怜恭悟惜意愈戎成扎拉支放敢斗斛旗日映显暑有望果查柱校栓业楼次止民水河泌洗洞济浓海消涌淑润淮深混渔湖满演潘灯灼炯点烈然照煌爽版物狄狮玛班瑾瓦甘甲男盘相省真石社祁种稚究空章符简籽粒紫级纹练组细终绍统继续维缨罡羊群翼考聚能臻至舍舒般芙花芽苍苹茫草荆荐葳蔡虓虞蛮蜀行衔表袁裳襄规视觉角计记讯论诤谋象贡赢走起趣足跃轲辞达迅返述透逢造逸遂道邓部都酬里重野金钗钢钱铎银锁错锭镇门闪间闽阁阡限陈陵随隐集雍需霸靓鞍音章须领顿飙骅魂鱼鲜鸢黛鼎秉秦移稷穗穹竣童端笙策筝箐素索絮綦缇罗羽翎翊翌聆舜舟良色芋芙苏茗荃荣莞菘萃葆蒲蓁蔷虔蛟融衍衡觅言誉许语诣谕豆赋赐轩轶辰辛边迎近迢连迅逊邑郎郡酉醇释里野量钦钰铃铮"
    "锡镜镕闪闵阅际陆陶隽霜霞革韦韶项顶须颐颢飒食首骄骐鱼鲲鸢鸾鹭麦默鼎齐杭炀烁烨煌荟莱薛芯萦蔼蘅谧谱昕昀昶晁晞晰暖暮曹榛櫻添淏溥滋澎甄畔皑眸碧禾秋娃妞嫒囡囝祝贺建"
)  # fmt: skip
# Characters seldom written but in names.
_TELLING = frozenset(
    "娜娟婷婉娇姣娥婵媛嫣妍妮姝姗娴婧莎薇蕾茹芸芬芹茵菲萱蓓蕊芷蕙倩岚琪琳琦瑶瑾璐璇珊珂珏玥玮琼瑛瑜琬璟楠梓桦柠榕淼涵浩泓湘潇澜瀚鑫钰铭骁骏昊旭昱晖晗晟晔炜炫煜烨熠彬斌磊睿"
    "轩宸皓颖馨雯霏霖韬鹏鹃麟芮澍尧祺祎"
)
# Words and word beginnings that look like surname and given name and are none.
_WORDS = re.compile(
    r"高(?:弓|血|热|烧|度|压|龄|危|流|氧|钾|钠|钙|糖|脂|尿|渗|枕|能|兴|敏感|频|等|分|级|考|中生|原|于|低|蛋白|位|密|浓|效|质|新技|海拔|温|速|强度|达|档|渴)|"
    r"黄(?:疸|染|色|斑|芪|芩|连|柏|体|金[色时]|褐|绿|白|某|水|豆|瓜|精|酒|鳝|油|山|河|曲)|白(?:屑|点|扁|细|血|斑|内|蛋|带|癜|塞|色|天|术|芍|芷|质|念|厚|苔|芨|头|糖|酒|前|粉|及|果|昼|发|痰|喉|沫)|"
    r"马(?:上|尾|蹄|来酸|钱子|凡|路|桶|虎|齿)|金(?:黄|属|银|标|刚|额|葡|钱)|石(?:膏|蜡|斛|棉|灰|决|油)|"
    r"方(?:可|面|便|案|法|式|才|形|能|向|始|剂|药)|平(?:素|时|卧|均|静|稳)|安(?:静|全|排|慰|定|神|宁|好|康|乃|眠|睡|心|装)|常(?:有|规|见|常|因|于|用|年|感|在|伴|出|诉|熬|吃|温|会)|"
    r"何(?:时|处|种|以|为|况|等|必|如|去)|时(?:有|常|间|感|而|候|伴|诉|长|值|刻|出)|于(?:壮|青|幼|老|中年|女|男|心|是|此|今|该)|向(?:来|其|医|我|家|上|下|左|右|前|后|心)|余(?:无|未|均|同|者|下|正|处|热|量)|"
    r"连(?:续|日|用|接|同|带|翘|夜)|明(?:显|确|天|白|日|亮)|全(?:身|麻|部|程|腹|科|家|国|天|面|血|血细|胸|段|脑|套|年)|"
    r"张(?:力|口|嘴|开|某|女士|先生)|温(?:度|和|水|热|暖|开|服|经|补|中)|水(?:肿|样|痘|平|疱|杯|果|分|溶|剂|煎|痰)|江(?:河|苏|西|湖)|"
    r"关(?:格|节|于|系|心|注|键|闭|门)|万(?:一|元|古|分|艾)|成(?:人|年|功|分|立|长|形|为|熟|瘾|都|骨|都)|来(?:院|诊|我|自|源|医|电|就|过|看|到|时|月|检|潮|了)|"
    r"应(?:用|该|予|当|激|考|先|于|在|尽|注|多|给|按|立|急|及|避|充|定|答)|原(?:因|发|有|来|位|则|本|始|籍|先)|简(?:单|要|易|称|述)|房(?:颤|间|室|性|扑|水|角|事|颤)|"
    r"边(?:缘|界|侧|吃|走)|项(?:目|背|强|痛|部)|解(?:大|小|便|放|除|黑|稀|出|剖|热|决|释|表|毒|痉|痛)|强(?:直|烈|化|迫|度|调|阳|力|行)|和(?:家|医|其|缓|谐|平|患|护|父)|"
    r"花(?:粉|费|生|椒|钱)|单(?:心|侧|纯|位|独|发|次|身|核|亲|用|人|一)|保(?:持|守|护|证|留|健|险|肝|胎|胃|暖|存|密|温)|计(?:划|算|数|量)|都(?:有|是|很|没|会|要|可|应|不|在|说|正|能)|"
    r"古(?:代|人|方|典)|米(?:粒|饭|粥|汤|糊|非|诺)|皮(?:角|炎|肤|疹|质|下|损|温|试|脂)|云(?:南|雾)|沙(?:眼|门|星|棘|哑|丁)|车(?:祸|前)|包(?:块|括|皮|扎|膜|裹|含)|"
    r"游(?:离|走|泳|泳)|经(?:过|期|常)|曾(?:有|于|在|经|因|行|服|用|患|到|就|反|出|口|多|诊|予|住|去|先|自)|施(?:行|予|以)|任(?:何|意|务)|乐(?:观|趣|意)|木(?:香|瓜|僵)|位(?:于|置|置)|"
    r"段(?:时|间|落)|冷(?:热|汗|敷|水|冻|感)|易(?:怒|激|疲|出|感|患|发|引|被|于|醒|饿|困|复|受|惊)|康(?:复|健|宁|泰)|华(?:法|佗|人|蟾)|童(?:年|便)|谈(?:话|及|论)|"
    r"毛(?:发|细|囊|巾|孔|糙|病)|牛(?:奶|皮|黄|肉|羊|磺)|洪(?:大|脉|水)|柏(?:油|子)|柴(?:胡|油)|桂(?:枝|皮|圆)|甘(?:草|油|露|精|氨|肃|遂)|丹(?:参|皮)|盛(?:行|装|夏)|"
    r"苗(?:条|族|头)|蒙(?:古|脱|医)|艾(?:滋|灸|司|条|叶)|商(?:量|业|品|场|定|讨|议|榷|妥|谈|洽)|银(?:屑|杏|行|翘|离)|左(?:侧|右|心|上|下|眼|手|腿|耳|肾|肺|氧|房|室|旋|边|乳|肩|膝|髋|足)|"
    r"雷(?:诺|公|贝|尼|米|击)|汤(?:药|剂)|景(?:象|天)|索(?:拉|他|赔)|查(?:体|出|看|明|房|血|对|因|见|了|尿|过|肝|个|一|胃|彩|的)|卡(?:介|他|托|马|瘤|因|压|片|号|维)|司(?:机|法|美|他|坦)|党(?:参|员)|武(?:汉|警|术)|"
    r"文(?:化|献|盲|字|章|静)|路(?:上|径|途|面)|庄(?:稼|严)|申(?:请|报|诉)|管(?:床|理|腔|道|型|壁|路|饲)|符(?:合)|席(?:汉|位)|封(?:闭|堵|面)|秦(?:皮|艽)|丁(?:香|苯|螺|胺|卡|酸)|苏(?:醒|打|木|子|叶|氨)|"
    r"章(?:节)|辛(?:苦|辣|伐|温|夷)|叶(?:酸|片|子)|杜(?:仲|绝|冷|鹃)|祝(?:健|大|家|各|身|您|你|早|好|愿|福)|贺(?:普)|费(?:用|时|力)|宫(?:颈|腔|内|缩|底|高|外|体|寒)|许(?:可|多|久)|严(?:重|格|密|禁|峻)|"
    r"台(?:湾|上|下|阶)|官(?:能)|冀(?:望)|钱(?:币)|郁(?:闷|结|金)|凤(?:尾|凰)|宁(?:可|愿|夏|心)|阳(?:性|痿|光|气|虚|台|历|台)|阴(?:性|道)|胡(?:萝|言|须|思乱|椒|某)|孔(?:径|隙)|池(?:塘)|燕(?:麦|窝)|"
    r"夏(?:天|季|日|枯)|习(?:惯|俗)|季(?:节)|纪(?:录|要|委)|史(?:料)|熊(?:胆|去|猫)|龙(?:胆|骨)|龚(?:某)|章(?:程)|盖(?:被|子)|薄(?:弱|白|黄|荷|层)|焦(?:虑|躁|痂|急)|项(?:链)|伏(?:暑|梁|卧|立|天)|"
    r"饶(?:了)|迟(?:发|到|缓|钝|疑)|童(?:某)|仲(?:裁)|仇(?:恨)|井(?:水)|练(?:习)|敖(?:某)|栗(?:子)|宗(?:教|旨)|楚(?:痛)|明(?:某)|麦(?:某)|(?:[王李张刘陈杨赵吴周孙])某|"
    r"同(?:意|志)|和(?:本人)|本人|妈妈|爸爸|奶奶|爷爷|姐姐|哥哥|弟弟|妹妹|阿姨|叔叔|宝宝|朋友|老师|同学|主任|医生|教授|护士|家长|女士|先生|小姐"
)  # fmt: skip
_EMPTY_VALUE = re.compile(
    r"不详|未|无|同上|同前|本人|患者|家属|待|已|暂|保密|匿名|略|男|女|汉|已婚|未婚|主治|主任|副主|住院|医师|医生|护士|电子|手写|签|年龄|性别|科室|可靠|"
    r"日期|时间|年|月|姓名|电话|地址|普通|手术|门诊|检查|诊断|职业|学生|农民|工人|退休|干部"
)

_IS_HAN = re.compile(f"[{HAN}]")
_PERSON = rf"(?:(?:{_COMPOUND})[{HAN}]{{1,2}}|[{_SINGLE}][{HAN}]{{1,2}})"
_DOTTED = rf"[{HAN}]{{2,6}}[·•][{HAN}]{{1,6}}(?:[·•][{HAN}]{{1,6}})?"
_LATIN = r"[A-Z][a-z]+(?:[ \-][A-Z][a-z]+){1,2}|[A-Z]{2,}(?: [A-Z]{2,}){1,2}"
_FAMILY = (
    "爸爸|妈妈|父亲|母亲|丈夫|妻子|老公|老婆|爱人|配偶|儿子|女儿|长子|长女|次子|次女|哥哥|姐姐|弟弟|妹妹|爷爷|奶奶|外公|外婆|姥姥|姥爷|"
    "祖父|祖母|外祖父|外祖母|公公|婆婆|岳父|岳母|孙子|孙女|外孙女|外孙|儿媳妇|儿媳|媳妇|女婿|侄子|侄女|侄儿|外甥女|外甥|伯父|伯母|叔父|叔叔|婶婶|姑姑|姑妈|姑父|"
    "姨妈|姨父|舅舅|舅妈|嫂子|弟媳|姐夫|妹夫|堂兄|堂弟|堂姐|堂妹|表哥|表弟|表姐|表妹|养子|养女|继父|继母"
)
_ROLE = (
    "患者|病人|病患|患儿|产妇|孕妇|伤者|死者|逝者|伤员|老人|来访者|被鉴定人|参保人|受检者|受者|供者|居民|"
    f"家属|家长|监护人|{_FAMILY}|之子|之女|其子|其女|其父|其母|其妻|其夫|"
    "同学|同事|邻居|朋友|老乡|委托人|联系人|经办人|记录人|报告人|接听人|登记人|随访人|访视人|检查者|操作者|报告者|审核者|记录者|核对者|检验者|换药者|咨询者|班主任|老师|司机|"
    "护士长|护士|医师|医生|大夫|教授|主任|专家|主刀|术者|技师|药师|助产士|护工|院长|书记|"
    "姓名|Pt|Patient|patient|咨询师|治疗师|物理师|麻醉师|营养师|姓名是|名字是|名字叫|名叫|我叫|叫做|我是|本人|自称|叫|兹有|关于|患儿系"
)
# Each begins with plain characters: the expression engine then skips to them quickly.
_TITLE = (
    "副主任|主任|主治医|住院医|值班医|管床医|主管医|医师|医生|大夫|教授|副教授|护士|护师|护工|药师|技师|博导|院士|院长|副院长|书记|副书记|"
    "先生|女士|小姐|同志|老人|老师|师傅|阿姨|大爷|大妈|大叔|小朋友"
)
# Surnames that are everyday words: behind a Chinese character they are taken for the word.
_FUNCTION = frozenset("时于和常易来全经都应原明成单向连解计余温水方强保官关管台位索查阳可")
_LED = frozenset("由经请找遵与向听和及给让被对是有问谢到的午日诊科室院后时询师系生者为名叫称")

_LABEL = re.compile(rf"[:：][ \t\n]{{0,4}}(?=[{HAN}A-Z])")
_LABELLED = re.compile(
    rf"(姓\s{{0,4}}名|名\s?字|医\s{{1,4}}师|[{HAN}](?:人|者|师|生|员|士|名|字|属|长|刀|手|班|诊|导|友|偶|母|父|妻|夫|子|女|签|医|护|核|成员|对象|居民)|Name|name|NAME|Signed|"
    rf"签名|签字)(?:[（(][^）)\n]{{1,6}}[）)])?\*?\s?$"
)
_SURE_LABEL = re.compile(r"姓\s*名$|名\s?字$|Name$|name$|NAME$")
_VALUE = re.compile(
    rf"({_DOTTED}|{_LATIN}|(?:{_COMPOUND})[{HAN}]{{1,2}}(?![{HAN}])|[{HAN}]{{2,4}}(?![{HAN}]))"
)
_NEXT_FIELD = (
    "性别|性\\s别|年龄|民族|职业|婚姻|住院|门诊|病|床|科|男|女|联系|电话|手机|身份|出生|记录|日期|时间|主任|副主任|主治|医师|医生|签|关系|与患者|护士|教授|等|审核|复核|报告|会诊|"
    "麻醉|器械|巡回|助手|先生|女士|副教授|及|和|术者|检查|送检|[入出]院|ID"
)
_RUN_ON = re.compile(rf"({_PERSON}?)(?={_NEXT_FIELD})".replace("{1,2}", "{1,2}?"))
_AND = re.compile(
    rf"[、，,/;； ]{{1,3}}({_DOTTED}|{_PERSON})(?=[、，,/;； （(]|等|$|\n|。)|[、，,/;； ]{{1,3}}({_DOTTED}|{_PERSON})(?![{HAN}])"
)
_AFTER_WORDS = (
    "男|女|因|于|之[子女父母妻夫]|的|及其|同志|先生|女士|老人|小姐|小朋友|医师|医生|主任|副主任|主治|教授|护士|大夫|代诉|带|争|表示|要求|代为|代签|通过|陪同|陪护|签[字名]|系|自述|自诉|主诉|诉|入院|出院|"
    "就诊|来院|来我|送|昨|今|体温|手机|电话|接听|在场|住院|术[前后]|拟|目前|年|今年|现|家|已|曾|与|和|联系|到[我场]|去世|到达|提供|要求|汇报|记录|会诊|查房|指示|来|也|是"
)
_ROLED = re.compile(
    rf"(?:{either(_ROLE)})[ ]?(?:(?P<dotted>(?!其|我|他|她|患|{_ROLE})[{HAN}]{{2,6}}[·•][{HAN}]{{1,6}}?(?:[·•][{HAN}]{{1,6}}?)?)(?=[^{HAN}·•]|$|{_AFTER_WORDS})|(?P<person>{_PERSON})(?=[^{HAN}\-]|$)|(?P<run>(?:(?:{_COMPOUND})|[{_SINGLE}])[{HAN}]{{1,2}}?)(?={_AFTER_WORDS}))"
)
_TITLED = re.compile(either(_TITLE))
_TITLED_SURNAME = re.compile(
    "副主任|主任|医生|医师|大夫|教授|护士|院长|老师|女士|先生|阿姨|师傅|博士|专家"
)
_NO_TITLE = re.compile("[科型]")
_HAS_SEX = re.compile(
    r"[，, （(][，, （(]{0,2}(?:(?:男|女)(?![性科孩])|[MF](?![A-Za-z])|[0-9]{1,3}(?:岁|y|Y))"
)
_FIRST = re.compile(rf"({_DOTTED}|{_PERSON})(?= {{0,2}}[\n\t|：:]| {{1,3}}[A-Za-z0-9男女]| {{2}})")
_ALONE = re.compile(
    rf"[\n\t| \].、床\x00] ?({_DOTTED}|{_PERSON})(?= {{0,2}}(?:$|[\x00\n\t|：:])| {{1,3}}[A-Za-z0-9男女]| {{2}})"
)
_WHOLE_PERSON = re.compile(_PERSON)
_WHOLE_DOTTED = re.compile(rf"(?<![{HAN}])(?:{_DOTTED})$")
_SURNAME_END = re.compile(rf"(?:{_COMPOUND}|[{_SINGLE}])$")
_SURNAMED = re.compile(rf"姓(?<=[贵我人]姓)((?:{_COMPOUND})|[{_SINGLE}])")
_MASKED = re.compile(
    rf"(?:某某|某|××|XX|xx|\*\*|\*)(?![{HAN}A-Za-z*]{{2}})|[×Xx](?=[，,、（( ]{{1,2}}(?:男|女|[0-9]{{1,3}} ?岁))"
)
_NOT_TITLED = re.compile(
    r"(?:由于|对于|至于|关于|等于|任何|谢谢|主管|儿童|有关|相关|双方|对方|院方|多时|按时|及时|随时|平时|同时|当时|值时|有时|小时|临时|完全|安全|方向|一向|趋向|倾向|"
    r"专业和|中和|和|与|跟|向|于|应|时|常|全|经|单位|解|来|都|明|位|曾|原|简|计|保|单|易|连|成|强|华|水|计|任|习|管|方|查|包|解|花|党|官|宗|安|古|项|米|卡|席|司|索|边)$"
)
_CUES_BEFORE = (
    "患", "病人", "姓", "名", "医", "护士", "家", "大夫", "教授", "主任", "女", "男", "父", "母", "丈夫", "妻", "老公", "老婆", "爱人",
    "我是", "我叫", "联系人", "先生", "老师", "同学", "者：", "人：", "签", "师：", "者:", "人:", "师:", "同志",
)  # fmt: skip
_DOUBT_CUES = ("姓名", "签名", "签字", "我叫", "名叫", "我的名字")
_KIN = re.compile(rf"(?:{either(_FAMILY)}|我的?[爸妈])((?:{_COMPOUND}|[{_SINGLE}])[{HAN}]{{1,2}})")
_DOUBT = re.compile(
    rf"(?:姓名|签名|签字)\s?[:：]\s{{0,4}}[{HAN}]{{2,4}}|(?:我叫|名叫|我的名字是)[{HAN}]{{2,4}}"
)


_BESIDE = re.compile(
    r"[，,、 （(：:]{0,3}(?:(?:身份证|证件|电话|手机|联系电话|联系方式|tel|住院号|门诊号)[^0-9A-Za-z]{0,4})?$"
)
_SURE_NEAR = frozenset({"mobile", "landline", "resident_id", "record_number", "ward_bed", "card"})
_BEHIND_BED = re.compile(rf" ?({_DOTTED}|{_PERSON})(?![{HAN}])")


def named(word: str, *, weak: bool = True) -> bool:
    """Whether a word looks like a Chinese name: surname, then given name. `weak` asks that every character
    of the given name be common in given names; else only that none of them never stands there."""
    if "·" in word or "•" in word:
        return True
    if _WORDS.match(word) and (weak or len(word) < 3 or not _strict(word)):
        return False
    surname = 2 if re.match(_COMPOUND, word) and len(word) > 2 else 1
    given = word[surname:]
    if not given or (surname == 1 and word[0] not in _SINGLE):
        return False
    if weak and not all(c in _GIVEN for c in given):
        return (
            len(given) == 2
            and any(c in _GIVEN for c in given)
            and not any(c in _NEVER_SET for c in given)
        )
    return weak or not any(c in _NEVER_SET for c in given)


def _strict(word: str) -> bool:
    """Whether every character of the given name is common in given names."""
    return all(c in _GIVEN for c in word[1:])


def find(text: str, near: Sequence[Span]) -> list[Span]:
    """The names in one text's view; `near` are the other identifiers, beside which a name may stand."""
    out = list(_labelled(text))
    out += _by_role(text)
    out += _titled(text)
    for m in _HAS_SEX.finditer(text):
        if word := _person_before(text, m.start(), bound=False):
            out.append(_span(m.start() - len(word), word))
    for m in _ALONE.finditer(text):
        if named(m[1]) and _stands_alone(text, m):
            out.append(_span(m.start(1), m[1]))
    first = _FIRST.match(text)
    if first and named(first[1]) and first.end() < len(text):
        out.append(_span(0, first[1]))
    for m in _SURNAMED.finditer(text) if "姓" in text else ():
        out.append(_span(m.start(1), m[1]))
    for m in _MASKED.finditer(text):
        surname = _SURNAME_END.search(text, max(0, m.start() - 2), m.start())
        if surname:
            before = text[max(0, surname.start() - 2) : surname.start()]
            if not _IS_HAN.match(before[-1:]) or before in ("患者", "病人"):
                out.append(Span(kind="name", start=surname.start(), end=m.end()))
    out += _beside(text, near)
    return out


def doubts(text: str, spans: Sequence[Span]) -> Iterator[Doubt]:
    """A name's label with something behind it that was not read as a name."""
    for m in _DOUBT.finditer(text) if holds(text, _DOUBT_CUES) else ():
        value = re.split(r"[:：]\s*|我叫|名叫|是", m[0])[-1]
        if not overlaps(m.end() - len(value), m.end(), spans) and not _EMPTY_VALUE.match(value):
            yield Doubt(start=m.start(), end=m.end(), cue="name cue")
    for m in _KIN.finditer(text):
        word = m[1]
        everyday = word[0] in _FUNCTION and not (len(word) > 2 and _strict(word))
        # 妈妈和宝宝, 爷爷来家里: these lead on from a family word far more often than they are a surname.
        everyday = everyday or word[0] in "和来全"
        if named(word) and not everyday and not overlaps(m.start(1), m.end(1), spans):
            yield Doubt(start=m.start(1), end=m.end(1), cue="name after a family word")


def _span(start: int, word: str) -> Span:
    return Span(kind="name", start=start, end=start + len(word))


def _stands_alone(text: str, m: re.Match[str]) -> bool:
    """Whether a line or cell holds only this word, but not a whole field: that is a title or a drug."""
    if m[0][0] in ".、":
        return text[m.start() - 1 : m.start()].isdigit()
    return m[0][0] != "\x00" or text[m.end() : m.end() + 1] not in ("", "\x00")


def _person_before(text: str, end: int, *, bound: bool) -> str:
    """The name that ends at `end`, or "". `bound`: no Chinese character may stand before it; else one may that
    leads to a name, where the surname is no everyday word."""
    if "·" in text[max(0, end - 8) : end]:
        dotted = _WHOLE_DOTTED.search(text, max(0, end - 20), end)
        if dotted:
            return dotted[0]
    for size in (3, 2, 4):
        word = text[max(0, end - size) : end]
        if len(word) == size and _WHOLE_PERSON.fullmatch(word) and named(word) and word[-1] != "向":
            before = text[max(0, end - size - 1) : end - size]
            if not _IS_HAN.match(before):
                return word
            everyday = word[0] in _FUNCTION and not (size > 2 and _strict(word))
            if not bound and before in _LED and not everyday:
                return word
    return ""


def _titled(text: str) -> Iterator[Span]:
    for m in _TITLED.finditer(text):
        if m.start() == 0 or not _IS_HAN.match(text, m.start() - 1):
            continue
        if word := _person_before(text, m.start(), bound=False):
            yield _span(m.start() - len(word), word)
        elif _TITLED_SURNAME.match(text, m.start()) and not _NO_TITLE.match(text, m.end()):
            yield from _surname_before(text, m.start())


def _surname_before(text: str, end: int) -> Iterator[Span]:
    surname = _SURNAME_END.search(text, max(0, end - 2), end)
    if not surname or _NOT_TITLED.search(text, max(0, surname.start() - 2), end):
        return
    before = text[max(0, surname.start() - 1) : surname.start()]
    if not _IS_HAN.match(before) or before in _LED or before in "见像跟位了去看姓过":
        yield Span(kind="name", start=surname.start(), end=end)


def _labelled(text: str) -> Iterator[Span]:
    if ":" not in text and "：" not in text:
        return
    for m in _LABEL.finditer(text):
        label = _LABELLED.search(text, max(0, m.start() - 14), m.start())
        sure = bool(label and _SURE_LABEL.search(label[1]))
        word, start = "", m.end()
        value = _VALUE.match(text, start)
        if value and not _EMPTY_VALUE.match(value[1]):
            latin = value[1][0].isascii()
            if not label:
                known = len(value[1]) == 3 and value[1][0] not in _FUNCTION
                word = value[1] if known and named(value[1]) and _strict(value[1]) else ""
            elif latin or (sure and not _WORDS.match(value[1])) or named(value[1], weak=False):
                word = value[1]
        if not word and label:
            run = _RUN_ON.match(text, start)
            if run and run[1] and not _EMPTY_VALUE.match(run[1]) and named(run[1], weak=not sure):
                word = run[1]
        if not word:
            continue
        yield _span(start, word)
        end = start + len(word)
        while more := _AND.match(text, end):
            group = more.lastindex or 1
            word = more[group]
            if not named(word) and word[-1] in "等及和与":
                word = word[:-1]
            if not named(word):
                break
            yield _span(more.start(group), word)
            end = more.start(group) + len(word)


def _by_role(text: str) -> Iterator[Span]:
    for m in _ROLED.finditer(text):
        group = m.lastgroup or "person"
        word = m[group]
        sure = _strict(word) and (
            any(c in _TELLING for c in word)
            or (len(word) > 2 and (group != "run" or word[0] in "于余方温关水"))
        )
        everyday = word[0] in _FUNCTION and not sure
        if m[0][0] == "叫" and text[m.start() - 1 : m.start()] not in "，, 。是":
            continue
        owned = group == "run" and text[m.end() : m.end() + 1] == "的"
        weak = everyday or (
            owned and not (_strict(word) and (len(word) > 2 or word[-1] in _TELLING))
        )
        if group == "dotted" or (named(word) and not weak):
            yield _span(m.start(group), word)


def _beside(text: str, near: Sequence[Span]) -> Iterator[Span]:
    """Names straight before a telephone, ID or record number, and straight behind a bed."""
    for span in near:
        if span.kind in _SURE_NEAR:
            m = _BESIDE.search(text, max(0, span.start - 12), span.start)
            if m and (word := _person_before(text, m.start(), bound=False)):
                yield _span(m.start() - len(word), word)
        if span.kind == "ward_bed" and text[span.end - 1 : span.end] == "床":
            bed = _BEHIND_BED.match(text, span.end)
            if bed and named(bed[1]):
                yield _span(bed.start(1), bed[1])
