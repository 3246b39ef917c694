"""Word problems of our own, each with a rewording as a language model writes it: other words, names kept, numbers spelt out."""

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "Lena bakes 24 rolls every morning. She keeps four for her family and sells the rest for $2 each. How much does "
        "she earn in a day?",
        "Each morning 24 rolls are baked by Lena. Four of them stay with her family, and the others are sold at 2 "
        "dollars apiece. What are her daily earnings?",
    ),
    (
        "A rope of 90 meters is cut into two pieces. One piece is twice as long as the other. How long is the longer piece?",
        "Someone divides a 90-meter rope into two parts so that one part is double the length of the other. What is the "
        "length of the longer part?",
    ),
    (
        "Omar buys a bike for $120 and spends $45 on repairs. He then sells it for $210. What is his profit?",
        "After purchasing a bicycle at a price of $120, Omar puts another $45 into fixing it and later gets $210 for "
        "it. How much profit does he make?",
    ),
    (
        "Nina swims 3 lengths of 50 meters 4 times a week. How many meters does she swim in a week?",
        "Four times per week, Nina swims three 50-meter lengths. What total distance in meters does she cover each week?",
    ),
    (
        "A farmer has 15 cows and each of them gives 20 liters of milk a day. He sells a liter for 60 cents. How many "
        "dollars does he make in a day?",
        "On a farm there are 15 cows, and every cow produces 20 liters of milk daily. If the farmer charges 60 cents "
        "per liter, what is his income in dollars each day?",
    ),
    (
        "A bus leaves with 38 passengers. At the first stop 12 get off and 7 get on. At the second stop half of the "
        "passengers leave. How many are still on the bus?",
        "There are 38 people on a bus when it departs. Twelve leave and seven board at the first stop, and at the "
        "second stop one half of those on board get off. How many people remain?",
    ),
    (
        "Paul read 30 pages on Monday, twice as many on Tuesday, and 15 on Wednesday. How many pages did he read in all?",
        "On Monday Paul got through 30 pages of his book; on Tuesday he managed double that number, and on Wednesday "
        "15. What is the total number of pages he read?",
    ),
    (
        "A shirt costs $40. It is reduced by 25%, and Kim has a coupon for $5 more. How much does Kim pay?",
        "The regular price of a shirt is $40. A discount of 25 percent applies, and with her coupon Kim saves an "
        "additional $5. What does Kim have to pay for it?",
    ),
    (
        "Seven friends share a bill of $154 equally, and each adds a tip of $3. How much does each of them pay?",
        "A restaurant bill of $154 is split evenly among 7 friends, each of whom leaves a $3 tip on top. What amount "
        "does every friend pay?",
    ),
    (
        "A tank holds 600 liters. A pump fills it with 25 liters a minute while 5 liters a minute leak out. How many "
        "minutes does it take to fill the empty tank?",
        "An empty tank with a capacity of 600 liters is being filled by a pump at 25 liters per minute, but it loses 5 "
        "liters per minute through a leak. How long in minutes until it is full?",
    ),
    (
        "Ida is 4 years older than her brother. In 6 years the sum of their ages will be 40. How old is Ida now?",
        "Ida's brother is four years younger than she is. Six years from now their ages will add up to 40. What is "
        "Ida's present age?",
    ),
    (
        "A train travels 180 kilometers in 2 hours and then 120 kilometers in the next hour. What is its average speed?",
        "In the first 2 hours a train covers 180 kilometers, and in the following hour it covers 120 kilometers. Find "
        "the average speed of the train.",
    ),
    (
        "There are 48 children at a camp. Three quarters of them can swim, and 9 of the swimmers can also dive. How "
        "many swimmers cannot dive?",
        "Of the 48 kids attending a camp, 3/4 know how to swim. Nine of those who swim are also able to dive. How many "
        "of the swimmers are unable to dive?",
    ),
    (
        "Maya earns $15 an hour and works 8 hours a day, 5 days a week. How much does she earn in 4 weeks?",
        "Working five days each week for 8 hours per day, Maya gets paid $15 per hour. What will her earnings be over a "
        "period of four weeks?",
    ),
    (
        "A baker uses 3 eggs for each cake. He has two dozen eggs. After he has baked 5 cakes, how many eggs are left?",
        "For every cake a baker needs three eggs. He starts out with 24 eggs and makes five cakes. What number of eggs "
        "does he have remaining?",
    ),
    (
        "A garden is 12 meters long and 8 meters wide. A fence around it costs $9 a meter. What does the fence cost?",
        "How much would it cost to fence in a garden with a length of 12 meters and a width of 8 meters, if one meter "
        "of fencing is priced at $9?",
    ),
    (
        "Ben has 3 times as many stamps as Carl. Together they have 164 stamps. How many stamps does Ben have?",
        "Between them, Ben and Carl own 164 stamps, and Ben's collection is thrice the size of Carl's. What is the "
        "number of stamps in Ben's collection?",
    ),
    (
        "A phone plan costs $20 a month and 10 cents for each message. Last month Zoe paid $34. How many messages did she send?",
        "Zoe's phone plan has a monthly fee of $20 plus 10 cents per message sent. If her bill for the previous month "
        "was $34, how many messages had she sent?",
    ),
    (
        "A box holds 6 rows of 8 chocolates. Ann eats 5 and gives a third of what is left minus 1 to Tim, 13 in all. "
        "How many are left?",
        "In a box there are 6 rows with 8 chocolates in each. Ann eats five of these, then Tim receives one less than a "
        "third of the remainder, namely 13. How many chocolates remain?",
    ),
    (
        "The library has 350 novels and 120 comics. It buys 40 novels and gives away 25 comics. How many books does it have now?",
        "A library starts with 350 novels plus 120 comics. After it acquires 40 more novels and donates 25 of its "
        "comics, how many books does it own?",
    ),
    (
        "Rosa walks to school in 15 minutes and back in 20 minutes. How many hours does she walk in 12 days?",
        "It takes Rosa 15 minutes to get to school on foot and 20 minutes to return. Over the course of 12 days, for "
        "how many hours does she walk?",
    ),
    (
        "A class of 30 students takes a test. 60% of them pass, and 12 of those who pass are girls. How many boys pass?",
        "Thirty students in a class sit a test which 60 percent of them pass. If 12 of the students who passed are "
        "girls, how many boys passed the test?",
    ),
    (
        "Jan plants 5 rows of 14 tulips. A deer eats 17 of them. How many tulips are left?",
        "Jan sets out tulips in 5 rows with 14 tulips per row. If 17 tulips get eaten by a deer, how many does Jan still have?",
    ),
    (
        "A recipe for 4 people needs 500 grams of rice. How many grams does one need for 10 people?",
        "Five hundred grams of rice are required by a recipe that serves 4. What quantity of rice in grams would serve 10 people?",
    ),
    (
        "Eva saves $25 a week. She wants a camera for $400 and already has $75. In how many weeks can she buy it?",
        "Eva would like to purchase a camera priced at $400. Having $75 already, she puts aside 25 dollars each week. "
        "After how many weeks will she have enough money?",
    ),
    (
        "Two painters need 6 days to paint a house. How many days do three painters need who work as fast?",
        "If a house can be painted by 2 painters in six days, how many days would it take 3 painters working at the same pace?",
    ),
    (
        "A parking lot has 4 levels of 75 spaces. 210 cars are parked. How many spaces are free?",
        "Each of the four levels in a parking garage offers 75 spaces. With 210 cars currently parked there, how many "
        "empty spaces does the garage have?",
    ),
    (
        "A theater sells 120 tickets at $12 and 80 tickets at $7. The hall costs $900. What remains?",
        "For a show, a theater sold 120 tickets for $12 each as well as 80 tickets for $7 each. After paying $900 for "
        "the hall, how much money is left over?",
    ),
    (
        "Sam has 5 boxes of 12 pencils and 3 boxes of 8 pens. How many more pencils than pens does he have?",
        "Sam owns five boxes that contain 12 pencils each, and three boxes that contain 8 pens each. By how many do his "
        "pencils outnumber his pens?",
    ),
    (
        "A car uses 7 liters of fuel for 100 kilometers. Fuel costs $2 a liter. What does a trip of 350 kilometers cost?",
        "For every 100 kilometers a car consumes 7 liters of fuel at a price of $2 per liter. How much money does one "
        "spend on fuel for a 350-kilometer journey?",
    ),
    (
        "A school orders 240 notebooks. They come in packs of 8, and a pack costs $6. What does the order cost?",
        "Notebooks are sold in packs of eight, each pack for $6. What is the cost of a school's order of 240 notebooks?",
    ),
    (
        "Mr. Lee has 200 sheep. A fifth of them are black, and a quarter of the black ones are lambs. How many black "
        "lambs does he have?",
        "Out of Mr. Lee's flock of 200 sheep, one fifth are black. Of these black sheep, one quarter are lambs. What is "
        "the number of black lambs in his flock?",
    ),
    (
        "Tea costs $8 for 100 grams. Vera buys 250 grams and pays with a $50 note. How much change does she get?",
        "Vera purchases 250 grams of tea at a price of $8 per 100 grams, handing over a fifty-dollar bill. What change "
        "should she receive?",
    ),
    (
        "A ladder has 20 rungs. Dirk climbs 9 up, 4 down and 8 up. How many rungs are above him?",
        "Dirk is on a ladder with 20 rungs. First he goes up 9, then comes down 4, and after that goes up 8 again. How "
        "many rungs remain above where he stands?",
    ),
    (
        "A shop sold 45 umbrellas on Friday and 15 fewer on Saturday. On Sunday it sold as many as on both days "
        "together. How many did it sell in all?",
        "On Friday a store sells 45 umbrellas, on Saturday 15 less than that, and on Sunday the same number as on "
        "Friday and Saturday combined. What is the total number of umbrellas sold?",
    ),
    (
        "Clara knits 2 scarves a week. Each takes 3 balls of wool at $4. What does she spend on wool in 5 weeks?",
        "Every week Clara knits a couple of scarves, using three balls of wool costing $4 each per scarf. What will she "
        "have paid for wool after five weeks?",
    ),
    (
        "At a race 18 of 72 runners drop out, and a third of the others finish within an hour. How many need more than an hour?",
        "Seventy-two runners start a race, but 18 give up. One third of those who continue complete it in under an "
        "hour. How many runners take longer than an hour?",
    ),
    (
        "A cinema has 16 rows. The first row has 20 seats, and each row has 2 more than the one before. How many seats "
        "has the last row?",
        "In a movie theater with 16 rows, there are 20 seats in the front row, and every row contains two seats more "
        "than the previous row. How many seats are in the final row?",
    ),
    (
        "A plumber charges $60 for coming and $45 for each hour. He works from 9 to 1. What is the bill?",
        "For a visit, a plumber bills a flat $60 in addition to $45 for every hour of work. What is the total charge if "
        "he is at work from 9 until 1?",
    ),
    (
        "Grandma divides 63 marbles among 3 grandchildren. The oldest gets 5 more than each of the others, who get the "
        "same, and 1 marble is left. How many does the oldest get?",
        "Sixty-three marbles are shared out by Grandma to her three grandchildren. Two of them receive equal amounts "
        "while the eldest receives five more, with 1 marble remaining. How many marbles does the eldest get?",
    ),
)
