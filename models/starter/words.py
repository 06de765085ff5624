"""The words of the starter pack: what each truth may be called, and the tags it is asked about.

A phrase names a set of truths, for example "a boat" means a sailboat or a ship. Captions for training
are put together from these phrases; the tags' prompts become vocabulary.json.
"""

SUBJECTS = {
    # subject: (prompt, category, synonyms: what people may type)
    "mountain": ("a mountain", "landscape", ["mountain", "mountains", "a mountain peak", "a snowy summit", "hills and peaks"]),
    "volcano": ("a volcano", "landscape", ["volcano", "an erupting volcano", "lava and smoke", "an eruption", "volcanoes"]),
    "waterfall": ("a waterfall", "landscape", ["waterfall", "waterfalls", "falling water", "a cascade over rocks"]),
    "pine tree": ("a pine tree", "landscape", ["pine tree", "pine trees", "pines", "a fir tree", "firs", "a christmas tree", "a conifer"]),
    "cactus": ("a cactus", "landscape", ["cactus", "cacti", "a saguaro", "cactuses"]),
    "pyramid": ("a pyramid", "landscape", ["pyramid", "pyramids", "an egyptian pyramid", "the pyramids of egypt"]),
    "windmill": ("a windmill", "landscape", ["windmill", "windmills", "an old mill", "a mill with sails"]),
    "snowman": ("a snowman", "landscape", ["snowman", "snowmen", "a man made of snow"]),
    "rainbow": ("a rainbow", "landscape", ["rainbow", "rainbows", "a colourful arc of a rainbow"]),
    "sailboat": ("a sailboat", "sea", ["sailboat", "sailboats", "boat", "a sailing boat", "a yacht", "yachts", "a sailing ship", "a boat with sails"]),
    "ship": ("a ship", "sea", ["ship", "ships", "a steamer", "a steamship", "an ocean liner", "a cruise ship", "a ferry", "a vessel"]),
    "lighthouse": ("a lighthouse", "sea", ["lighthouse", "lighthouses", "a light tower", "a beacon"]),
    "palm tree": ("a palm tree", "sea", ["palm tree", "palm trees", "a palm", "palms", "a coconut tree"]),
    "parasol": ("a parasol", "sea", ["parasol", "parasols", "a beach umbrella", "an umbrella", "a sunshade"]),
    "skyscrapers": ("skyscrapers", "city", ["skyscraper", "tall buildings", "a skyline", "towers", "high rise buildings", "office towers"]),
    "house": ("a house", "city", ["house", "houses", "a home", "a cottage", "a small building"]),
    "bridge": ("a bridge", "city", ["bridge", "bridges", "a suspension bridge", "a stone bridge"]),
    "church": ("a church", "city", ["church", "churches", "a chapel", "a church tower", "a steeple"]),
    "moon": ("the moon", "night", ["moon", "a full moon", "a crescent moon", "moonlight"]),
    "campfire": ("a campfire", "night", ["campfire", "a fire", "flames", "a bonfire", "burning wood", "a camp fire"]),
    "fireworks": ("fireworks", "night", ["firework", "a firework display", "fireworks exploding", "new year fireworks"]),
    "pizza": ("a pizza", "food", ["pizza", "pizzas", "a pizza with cheese", "a pizza with tomato"]),
    "cake": ("a cake", "food", ["cake", "cakes", "a birthday cake", "a cake with candles", "a dessert with candles"]),
    "apple": ("an apple", "food", ["apple", "apples", "an apple with a leaf"]),
    "fruit bowl": ("a bowl of fruit", "food", ["fruit bowl", "a fruit bowl", "fruit", "fruits", "bananas and grapes", "a bowl with fruits"]),
    "coffee": ("a cup of coffee", "food", ["coffee", "a coffee", "a hot drink", "a mug of coffee", "a cup of tea", "a coffee cup", "an espresso"]),
    "ice cream": ("an ice cream", "food", ["ice cream", "an ice cream cone", "ice", "a cone with scoops", "gelato"]),
    "burger": ("a burger", "food", ["burger", "burgers", "a hamburger", "hamburger", "a cheeseburger", "cheeseburger"]),
    "watermelon": ("a slice of watermelon", "food", ["watermelon", "a watermelon", "a piece of melon", "melon"]),
    "sunflower": ("a sunflower", "flowers", ["sunflower", "sunflowers"]),
    "rose": ("a rose", "flowers", ["rose", "roses"]),
    "tulip": ("a tulip", "flowers", ["tulip", "tulips"]),
    "daisy": ("a daisy", "flowers", ["daisy", "daisies", "a marguerite"]),
    "car": ("a car", "vehicles", ["car", "cars", "an automobile", "an auto", "a motor car"]),
    "truck": ("a truck", "vehicles", ["truck", "trucks", "a lorry", "lorries", "a delivery truck"]),
    "bus": ("a bus", "vehicles", ["bus", "buses", "a coach", "a double decker"]),
    "bicycle": ("a bicycle", "vehicles", ["bicycle", "bicycles", "a bike", "bike", "bikes", "a cycle"]),
    "train": ("a train", "vehicles", ["train", "trains", "a railway engine", "a locomotive", "a railway", "a railroad train"]),
    "aeroplane": ("an aeroplane", "vehicles", ["aeroplane", "airplane", "an airplane", "a plane", "planes", "an aircraft", "a jet", "an aeroplane flying"]),
    "balloon": ("a hot-air balloon", "vehicles", ["balloon", "a balloon", "balloons", "a hot air balloon", "a flying balloon"]),
    "person": ("a person", "people", ["person", "a man", "a woman", "one person standing", "somebody", "a single person"]),
    "group": ("a group of people", "people", ["group", "friends", "several people", "a crowd", "a family", "people together", "many people"]),
    "child": ("a child with a ball", "people", ["child", "a child", "a kid", "a boy with a ball", "a girl with a ball", "a kid playing ball", "a child playing", "children"]),
    "cat": ("a cat", "animals", ["cat", "cats", "a kitten", "a kitty"]),
    "bird": ("a bird", "animals", ["bird", "birds", "a songbird", "a bird with wings"]),
    "fish": ("a fish", "animals", ["fish", "fishes", "a fish swimming", "a tropical fish"]),
    "butterfly": ("a butterfly", "animals", ["butterfly", "butterflies"]),
    "circle": ("a circle", "shapes", ["circle", "circles", "a round shape", "a disc", "a dot"]),
    "square": ("a square", "shapes", ["square", "squares", "a rectangle", "a box shape"]),
    "triangle": ("a triangle", "shapes", ["triangle", "triangles", "a shape with three corners"]),
    "star": ("a star", "shapes", ["star", "a star shape", "a five pointed star"]),
    "heart": ("a heart", "shapes", ["heart", "hearts", "a heart shape", "love"]),
}

# Phrases that mean any of several subjects.
WIDER = {
    "a boat": ["sailboat", "ship"], "boats": ["sailboat", "ship"],
    "a tree": ["pine tree", "palm tree"], "trees": ["pine tree", "palm tree"],
    "a building": ["house", "church", "skyscrapers", "lighthouse", "windmill"],
    "buildings": ["house", "church", "skyscrapers"],
    "something flying": ["aeroplane", "balloon"],
    "something to drink": ["coffee"],
    "something sweet": ["cake", "ice cream"],
    "a human": ["person", "group", "child"],
}

# category: phrases
CATEGORIES = {
    "food": ["food", "something to eat", "a meal", "a snack", "dishes"],
    "flowers": ["flowers", "a flower", "blossoms", "a blooming plant", "a bouquet"],
    "vehicles": ["a vehicle", "vehicles", "transport", "traffic"],
    "people": ["people", "human figures", "figures of people"],
    "animals": ["an animal", "animals", "a creature", "wildlife"],
    "shapes": ["a shape", "shapes", "a geometric shape", "geometry", "a plain shape"],
}

# place: (prompt, phrase in a sentence, category, synonyms)
PLACES = {
    "sea": ("the sea", "on the sea", "sea", ["sea", "at sea", "by the sea", "on the water", "the ocean", "ocean", "over the sea", "waves", "on the waves"]),
    "beach": ("a beach", "on a beach", "sea", ["beach", "at the beach", "on the sand", "a sandy shore", "the seaside", "the coast", "by the shore"]),
    "countryside": ("the countryside", "in the countryside", "landscape", ["countryside", "a meadow", "in a meadow", "in a field", "fields", "green hills", "in the grass", "nature"]),
    "forest": ("a forest", "in a forest", "landscape", ["forest", "the woods", "in the woods", "among trees", "woodland"]),
    "desert": ("the desert", "in the desert", "landscape", ["desert", "sand dunes", "among dunes", "the sahara"]),
    "snow": ("the snow", "in the snow", "landscape", ["snow", "winter", "a winter scene", "a snowy landscape", "in winter"]),
    "city": ("the city", "in the city", "city", ["city", "a town", "in town", "downtown", "urban"]),
    "street": ("a street", "on a street", "city", ["street", "a road", "on the road", "on a road", "roads"]),
    "table": ("a table", "on a table", "indoors", ["table", "on the table", "indoors", "a table top", "a kitchen table"]),
    "sky": ("the sky", "in the sky", "sky", ["sky", "up in the air", "in the air", "above the clouds", "among clouds"]),
    "underwater": ("under water", "under water", "sea", ["underwater", "in the water", "in an aquarium", "below the surface", "a reef"]),
}

# time: (prompt, phrase, category, synonyms)
TIMES = {
    "day": ("daylight", "in daylight", "daylight", ["day", "by day", "in daylight", "during the day", "a sunny day", "in the sunshine", "a bright day"]),
    "sunset": ("a sunset", "at sunset", "sunset", ["sunset", "at sunset", "at dusk", "in the evening", "at sundown", "evening light", "at dawn", "a red sky"]),
    "night": ("the night", "at night", "night", ["night", "at night", "by night", "in the dark", "under the stars", "a starry sky", "stars", "a dark night"]),
}

# colour: words
COLOURS = {
    "red": ["red", "scarlet", "crimson"], "orange": ["orange"], "yellow": ["yellow", "golden"],
    "green": ["green"], "blue": ["blue"], "purple": ["purple", "violet"], "pink": ["pink", "rosy"],
    "white": ["white"], "black": ["black"], "brown": ["brown"],
}

TEMPLATES = ["a picture of {}"]
# Ways people put a query; the words around carry no meaning.
WRAPS = ["{}", "{}", "{}", "a picture of {}", "a photo of {}", "an image of {}", "a drawing of {}", "{} please", "show me {}",
         "there is {}", "find {}", "pictures with {}", "this is {}", "we see {}", "a nice picture of {}", "my photo of {}",
         "a big {}", "a small {}", "a beautiful {}", "the {}", "one {}", "some {}", "two {}", "three {}", "{} here"]
BACKGROUNDS = ["something else", "a photograph of something unknown", "a texture", "noise and grain",
               "nothing that can be named", "an unclear picture"]
