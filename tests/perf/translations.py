"""The first twenty word problems of ``rewordings``, translated by us: in each language, in the order of ``PAIRS``."""

GERMAN = (
    "Lena backt jeden Morgen 24 Brötchen. Vier behält sie für ihre Familie, den Rest verkauft sie für je 2 $. Wie viel verdient "
    "sie am Tag?",
    "Ein 90 Meter langes Seil wird in zwei Stücke geschnitten. Ein Stück ist doppelt so lang wie das andere. Wie lang ist das "
    "längere Stück?",
    "Omar kauft ein Fahrrad für 120 $ und gibt 45 $ für Reparaturen aus. Dann verkauft er es für 210 $. Wie hoch ist sein Gewinn?",
    "Nina schwimmt viermal in der Woche 3 Bahnen von 50 Metern. Wie viele Meter schwimmt sie in einer Woche?",
    "Ein Bauer hat 15 Kühe, und jede gibt 20 Liter Milch am Tag. Er verkauft den Liter für 60 Cent. Wie viele Dollar nimmt er am "
    "Tag ein?",
    "Ein Bus fährt mit 38 Fahrgästen ab. An der ersten Haltestelle steigen 12 aus und 7 ein. An der zweiten steigt die Hälfte der "
    "Fahrgäste aus. Wie viele sind noch im Bus?",
    "Paul las am Montag 30 Seiten, am Dienstag doppelt so viele und am Mittwoch 15. Wie viele Seiten las er insgesamt?",
    "Ein Hemd kostet 40 $. Es ist um 25 % herabgesetzt, und Kim hat einen Gutschein über weitere 5 $. Wie viel bezahlt Kim?",
    "Sieben Freunde teilen sich eine Rechnung von 154 $ zu gleichen Teilen, und jeder gibt 3 $ Trinkgeld dazu. Wie viel bezahlt "
    "jeder?",
    "Ein Tank fasst 600 Liter. Eine Pumpe füllt ihn mit 25 Litern pro Minute, während 5 Liter pro Minute auslaufen. Wie viele "
    "Minuten dauert es, den leeren Tank zu füllen?",
    "Ida ist 4 Jahre älter als ihr Bruder. In 6 Jahren sind beide zusammen 40 Jahre alt. Wie alt ist Ida jetzt?",
    "Ein Zug fährt 180 Kilometer in 2 Stunden und dann 120 Kilometer in der nächsten Stunde. Wie hoch ist seine "
    "Durchschnittsgeschwindigkeit?",
    "In einem Ferienlager sind 48 Kinder. Drei Viertel von ihnen können schwimmen, und 9 der Schwimmer können auch tauchen. Wie "
    "viele Schwimmer können nicht tauchen?",
    "Maya verdient 15 $ in der Stunde und arbeitet 8 Stunden am Tag, 5 Tage in der Woche. Wie viel verdient sie in 4 Wochen?",
    "Ein Bäcker braucht 3 Eier für jeden Kuchen. Er hat zwei Dutzend Eier. Wie viele Eier bleiben übrig, nachdem er 5 Kuchen "
    "gebacken hat?",
    "Ein Garten ist 12 Meter lang und 8 Meter breit. Ein Zaun darum kostet 9 $ pro Meter. Was kostet der Zaun?",
    "Ben hat 3-mal so viele Briefmarken wie Carl. Zusammen haben sie 164 Briefmarken. Wie viele Briefmarken hat Ben?",
    "Ein Handyvertrag kostet 20 $ im Monat und 10 Cent für jede Nachricht. Im letzten Monat zahlte Zoe 34 $. Wie viele Nachrichten "
    "hat sie verschickt?",
    "Eine Schachtel enthält 6 Reihen mit je 8 Pralinen. Ann isst 5 und gibt Tim ein Drittel vom Rest weniger 1, zusammen 13. Wie "
    "viele sind übrig?",
    "Die Bibliothek hat 350 Romane und 120 Comics. Sie kauft 40 Romane und verschenkt 25 Comics. Wie viele Bücher hat sie jetzt?",
)
FRENCH = (
    "Lena cuit 24 petits pains chaque matin. Elle en garde quatre pour sa famille et vend les autres 2 $ chacun. Combien "
    "gagne-t-elle par jour ?",
    "Une corde de 90 mètres est coupée en deux morceaux. L'un est deux fois plus long que l'autre. Quelle est la longueur du plus "
    "long morceau ?",
    "Omar achète un vélo à 120 $ et dépense 45 $ en réparations. Il le revend ensuite 210 $. Quel est son bénéfice ?",
    "Nina nage 3 longueurs de 50 mètres 4 fois par semaine. Combien de mètres nage-t-elle en une semaine ?",
    "Un fermier a 15 vaches et chacune donne 20 litres de lait par jour. Il vend le litre 60 cents. Combien de dollars gagne-t-il "
    "par jour ?",
    "Un bus part avec 38 passagers. Au premier arrêt, 12 descendent et 7 montent. Au deuxième arrêt, la moitié des passagers "
    "descend. Combien sont encore dans le bus ?",
    "Paul a lu 30 pages lundi, deux fois plus mardi et 15 mercredi. Combien de pages a-t-il lues en tout ?",
    "Une chemise coûte 40 $. Elle est réduite de 25 %, et Kim a un bon de 5 $ de plus. Combien Kim paie-t-elle ?",
    "Sept amis partagent à parts égales une addition de 154 $, et chacun ajoute un pourboire de 3 $. Combien paie chacun d'eux ?",
    "Un réservoir contient 600 litres. Une pompe le remplit à raison de 25 litres par minute tandis que 5 litres par minute "
    "s'échappent. Combien de minutes faut-il pour remplir le réservoir vide ?",
    "Ida a 4 ans de plus que son frère. Dans 6 ans, la somme de leurs âges sera 40. Quel âge a Ida maintenant ?",
    "Un train parcourt 180 kilomètres en 2 heures, puis 120 kilomètres dans l'heure suivante. Quelle est sa vitesse moyenne ?",
    "Il y a 48 enfants dans un camp. Les trois quarts savent nager, et 9 des nageurs savent aussi plonger. Combien de nageurs ne "
    "savent pas plonger ?",
    "Maya gagne 15 $ de l'heure et travaille 8 heures par jour, 5 jours par semaine. Combien gagne-t-elle en 4 semaines ?",
    "Un boulanger utilise 3 œufs pour chaque gâteau. Il a deux douzaines d'œufs. Après avoir cuit 5 gâteaux, combien d'œufs "
    "reste-t-il ?",
    "Un jardin mesure 12 mètres de long et 8 mètres de large. Une clôture autour coûte 9 $ le mètre. Combien coûte la clôture ?",
    "Ben a 3 fois plus de timbres que Carl. Ensemble, ils ont 164 timbres. Combien de timbres a Ben ?",
    "Un forfait de téléphone coûte 20 $ par mois et 10 cents par message. Le mois dernier, Zoe a payé 34 $. Combien de messages "
    "a-t-elle envoyés ?",
    "Une boîte contient 6 rangées de 8 chocolats. Ann en mange 5 et donne à Tim un tiers de ce qui reste moins 1, soit 13. Combien "
    "en reste-t-il ?",
    "La bibliothèque a 350 romans et 120 bandes dessinées. Elle achète 40 romans et donne 25 bandes dessinées. Combien de livres "
    "a-t-elle maintenant ?",
)
CHINESE = (
    "莱娜每天早上烤24个面包卷。她留四个给家人,其余的每个卖2美元。她一天赚多少钱?",
    "一根90米长的绳子被剪成两段。一段的长度是另一段的两倍。较长的一段有多长?",
    "奥马尔用120美元买了一辆自行车,修理花了45美元。然后他以210美元卖出。他的利润是多少?",
    "尼娜每周游泳4次,每次游3趟50米。她一周游多少米?",
    "一个农民有15头奶牛,每头每天产20升牛奶。他每升卖60美分。他一天赚多少美元?",
    "一辆公共汽车载着38名乘客出发。第一站12人下车,7人上车。第二站一半乘客下车。车上还有多少人?",
    "保罗星期一读了30页,星期二读了两倍,星期三读了15页。他一共读了多少页?",
    "一件衬衫40美元,降价25%,金还有一张再减5美元的优惠券。金要付多少钱?",
    "七个朋友平分154美元的账单,每人再加3美元小费。每人付多少钱?",
    "一个水箱能装600升。水泵每分钟注入25升,同时每分钟漏掉5升。注满空水箱需要多少分钟?",
    "艾达比她弟弟大4岁。6年后他们的年龄之和是40岁。艾达现在多少岁?",
    "一列火车2小时行驶180公里,接下来一小时行驶120公里。它的平均速度是多少?",
    "夏令营里有48个孩子。四分之三会游泳,其中9个会游泳的还会潜水。有多少会游泳的孩子不会潜水?",
    "玛雅每小时挣15美元,每天工作8小时,每周工作5天。她4周挣多少钱?",
    "一个面包师做每个蛋糕用3个鸡蛋。他有两打鸡蛋。烤了5个蛋糕后,还剩多少个鸡蛋?",
    "一个花园长12米,宽8米。围一圈的栅栏每米9美元。栅栏要花多少钱?",
    "本的邮票是卡尔的3倍。他们一共有164张邮票。本有多少张邮票?",
    "一个手机套餐每月20美元,每条短信10美分。上个月佐伊付了34美元。她发了多少条短信?",
    "一个盒子里有6排巧克力,每排8块。安吃了5块,把剩下的三分之一减1块给了蒂姆,共13块。还剩多少块?",
    "图书馆有350本小说和120本漫画。它买了40本小说,送出25本漫画。现在有多少本书?",
)
