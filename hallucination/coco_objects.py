"""The 80 object classes of COCO (arXiv:1405.0312) with everyday words for them, and CHAIR's rules for misleading words.

"baby elephant" and "adult dog" name no person, a "passenger jet" is an airplane, the seat of a toilet is no chair, a
home plate is no object (arXiv:1809.02156; the authors' script).

Differs from that script: the list of words is written anew, so scores of this list can only be compared with each
other; for published CHAIR numbers load the authors' ``synonyms.txt``. In the script the rules for animals and vehicles
hold only for the class names, "jet" and "train"; here they hold for every synonym. A few more phrases, such as "train
track", name no object here.
"""

from collections.abc import Mapping, Sequence

from hallucination.objects import ObjectLexicon, parse_synonyms

_ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
_VEHICLES = ("airplane", "train", "bus", "car", "boat")
# Phrase -> the object that it names; "" where it names none although it contains the name of one.
_PHRASES = {
    "toilet seat": "toilet", "bow tie": "tie", "home plate": "", "baby animal": "", "adult animal": "", "baby cub": "",
    "adult cub": "", "train track": "", "train station": "", "bus stop": "", "bus station": "", "mouse pad": "",
    "bottle cap": "", "bottle opener": "", "ski lift": "", "ski slope": "", "tie dye": "",
}  # fmt: skip
# The seat of a toilet is no chair, but only a text that names the toilet shows that it is one.
_IGNORED_BESIDE = {"seat": "toilet"}

# The format of a user's file, except that an indented line continues the line above it.
_COCO = """
person, man, woman, child, boy, girl, kid, baby, toddler, infant, adult, teenager, lady, gentleman, guy, pedestrian,
    cyclist, rider, driver, passenger, player, athlete, skier, snowboarder, skateboarder, surfer, swimmer, catcher,
    umpire, worker, chef, waiter, waitress, policeman, policewoman, officer, firefighter, fireman, soldier, student,
    teacher, tourist, bride, groom, mother, father, spectator, shopper, farmer
bicycle, bike, tricycle
car, automobile, sedan, taxi, cab, suv, minivan, jeep, convertible, hatchback
motorcycle, motorbike, motor bike, motor cycle, moped, scooter, dirt bike
airplane, aeroplane, plane, air plane, aircraft, jet, airliner, jetliner
bus, minibus, double decker
train, locomotive, tram, streetcar, railcar
truck, lorry, pickup, firetruck
boat, ship, sailboat, motorboat, speedboat, rowboat, canoe, kayak, yacht, ferry, barge, gondola, dinghy
traffic light, traffic signal, stoplight, stop light
fire hydrant, hydrant
stop sign
parking meter
bench
bird, pigeon, seagull, gull, duck, goose, swan, parrot, owl, eagle, hawk, crow, sparrow, rooster, hen, penguin,
    flamingo, pelican, heron, peacock, ostrich
cat, kitten, kitty, tomcat
dog, puppy, pup, doggy, hound, poodle, terrier, bulldog, labrador, retriever, dachshund, husky, corgi, chihuahua
horse, pony, foal, mare, stallion, colt
sheep, lamb, ram, ewe
cow, cattle, calf, bull, ox, heifer
elephant
bear, grizzly, panda
zebra
giraffe
backpack, rucksack, knapsack, back pack
umbrella, parasol
handbag, purse, hand bag
tie, necktie, bowtie
suitcase, suit case, luggage, baggage
frisbee, flying disc
skis, ski
snowboard, snow board
sports ball, ball
kite
baseball bat, softball bat
baseball glove, baseball mitt, catcher's mitt
skateboard, skate board, longboard
surfboard, surf board, bodyboard
tennis racket, tennis racquet, racket, racquet
bottle
wine glass, wineglass, champagne glass, goblet
cup, mug, teacup
fork
knife
spoon, teaspoon, tablespoon
bowl
banana
apple
sandwich, burger, hamburger, cheeseburger, panini
orange, tangerine, mandarin, clementine
broccoli
carrot
hot dog, hotdog
pizza
donut, doughnut
cake, cupcake, cheesecake
chair, armchair, stool, seat
couch, sofa, loveseat, settee
potted plant, house plant, houseplant, pot plant
bed
dining table, table, desk
toilet, urinal, commode
tv, television, monitor
laptop, laptop computer, notebook computer, macbook
mouse
remote, remote control
keyboard
cell phone, cellphone, mobile phone, phone, smartphone, smart phone, iphone, telephone
microwave, microwave oven
oven, stove, stove top oven, stovetop
toaster
sink, washbasin
refrigerator, fridge, freezer
book, paperback, textbook
clock
vase
scissors
teddy bear, teddy, stuffed bear
hair drier, hair dryer, hairdryer, blow dryer
toothbrush, tooth brush
"""


def coco_lexicon() -> ObjectLexicon:
    """Return the built-in lexicon of the 80 COCO classes."""
    # Joins the continued lines.
    lines = _COCO.replace(",\n    ", ", ").splitlines()
    return chair_lexicon(parse_synonyms(lines, source="the built-in COCO classes"))


def chair_lexicon(synonyms: Mapping[str, Sequence[str]]) -> ObjectLexicon:
    """Return a lexicon with CHAIR's rules; rules about objects that are not in it have no effect."""
    # The animal of "baby elephant" is the elephant, and its word "baby" names no person.
    qualified = {"baby": _ANIMALS, "adult": _ANIMALS, "passenger": _VEHICLES}
    phrases = {
        f"{qualifier} {word}": word
        for qualifier, names in qualified.items()
        for name in names
        for word in (name, *synonyms.get(name, ()))
    }
    return ObjectLexicon(synonyms, phrases=_PHRASES | phrases, ignored_beside=_IGNORED_BESIDE)
