"""Harmless answers of a few tokens, with questions that ask for them, written for this project.

A language model's own answers are nearly always sentences, so they do not show a head what `Yes.`, `42` or `{}` is.
Each group is some questions and the answers that fit all of them. The questions are divided by their hash.
"""

from __future__ import annotations

from dataclasses import dataclass

from ig_guardrail.learn.answers import LICENCE, split_of
from ig_guardrail.learn.data.recipes import BRIEF_ANSWERS
from ig_guardrail.learn.data.rows import LabelledRow


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Questions and answers (both separated by `|`): every answer fits every question."""

    questions: str
    answers: str

    def pairs(self) -> list[tuple[str, str]]:
        asked, told = ([part.strip() for part in text.split("|")] for text in (self.questions, self.answers))
        return [(question, answer) for question in asked for answer in told]


GROUPS = (
    Exchanges(
        "Is a tomato a fruit? Answer yes or no. | Does ice float on water? | Is Rome in Italy? | Do bees make honey?"
        " | Is ten more than nine? Just yes or no. | Can dogs swim? | Is a whale a mammal?",
        "Yes. | yes | Yes | Yes, of course. | True | That's right. | Yes, it's so. | Indeed.",
    ),
    Exchanges(
        "Is the sun cold? Answer yes or no. | Do cows lay eggs? | Is London in Spain? | Can a stone sing?"
        " | Is three more than five? Just yes or no. | Is milk black? | Do trees walk?",
        "No. | no | No | No, never. | False | Not at all. | No, that's wrong. | Certainly not.",
    ),
    Exchanges(
        "Is the statement true: five is odd? | Return a boolean: is the list empty? | Is the flag set? Output the value"
        " only. | Answer with true or false: a day has 24 hours.",
        "true | false | True | False | 1 | 0 | null | yes",
    ),
    Exchanges(
        "What is 3 plus 4? | How many days are in a week? | Number of wonders of the ancient world? Digits only.",
        "7 | 7. | Seven | Seven. | It's 7. | = 7",
    ),
    Exchanges(
        "What is half of 24? | How many months has a year? | How many eggs are in a dozen?",
        "12 | 12. | Twelve | Twelve. | 12 of them.",
    ),
    Exchanges(
        "What is 10 times 10? | At how many degrees Celsius does water boil? | How many cents are in a dollar?",
        "100 | 100. | One hundred | A hundred. | 100!",
    ),
    Exchanges(
        "How much is the ticket? | What is the total? Only the amount. | Price of the lamp?",
        "$15 | 15.00 | 20 euros | €9.99 | Free | 3,50 | About $40.",
    ),
    Exchanges(
        "Rate the film from 1 to 10. Number only. | Score of this essay, please? | How many stars does the hotel have?",
        "8 | 10 | 6/10 | 4.5 | Three stars | 9. | 2",
    ),
    Exchanges(
        "When was the bridge built? Year only. | Which year is on the coin? | In which year was she born?",
        "1934 | 1969. | 2004 | In 1850. | 1492",
    ),
    Exchanges(
        "When does the shop open? | At what time does the train leave? | When shall we meet?",
        "9 am | At noon. | 17:45 | Tomorrow. | 8 o'clock | At six. | Monday | On Friday.",
    ),
    Exchanges(
        "Return the result as JSON. | Give the list of warnings as JSON. | Output the parsed configuration.",
        '{} | [] | null | "" | {"a": 1} | [1, 2] | {"ok": true} | "none"',
    ),
    Exchanges(
        "Which option is right? Answer with its letter. | Choose A, B, C or D. | Multiple choice: which one fits?",
        "A | B. | (C) | D) | Option A | C | A. | B",
    ),
    Exchanges(
        "Say that you understood. | Please confirm. | Reply with one word when you are done. | Are we finished?",
        "ok | OK. | Okay! | Done | Done. | Understood. | Sure. | Got it. | Confirmed. | Finished. | Ready.",
    ),
    Exchanges(
        "Thanks a lot! | Thank you so much for the help. | Great work, thank you.",
        "You're welcome. | My pleasure. | Any time. | Glad to help! | Sure thing. | No worries. | You are welcome!",
    ),
    Exchanges(
        "Hi there! | Good evening. | Hello, how are you today? | Hey!",
        "Hi! | Hello. | Good evening! | Hey! | I'm well, thanks. | Very well! | Hello there. | Nice to see you."
        " | Welcome!",
    ),
    Exchanges(
        "I have to go now. | See you tomorrow! | Good night. | That was all, bye.",
        "Bye. | Good night! | See you! | Take care. | Sleep well. | Until then! | Goodbye.",
    ),
    Exchanges(
        "I passed my exam! | We won the match. | My sister had a baby. | I finished the marathon.",
        "Wow! | Congratulations! | Well done! | Great news! | How nice! | Amazing! | That's wonderful. | Hooray!",
    ),
    Exchanges(
        "I lost my keys. | My cold is getting worse. | The trip was called off. | I am tired.",
        "Oh no! | I'm sorry. | That's a pity. | Poor you. | Get well soon. | Rest a little. | What a shame. | Sorry!",
    ),
    Exchanges(
        "What is the name of my dog? | Who will win the election? | What is the weather like right now? | Where am I?",
        "I don't know. | I can't tell. | No idea. | Unknown | I'm not sure. | Sorry, I can't. | Hard to say."
        " | N/A | Maybe.",
    ),
    Exchanges("What is the capital of France? | Where is the Louvre?", "Paris | Paris. | In Paris. | It's Paris."),
    Exchanges("What is the capital of Italy? | Where is the Colosseum?", "Rome | Rome. | In Rome."),
    Exchanges("What is the capital of Egypt? | Which city is near the pyramids?", "Cairo | Cairo. | It is Cairo."),
    Exchanges("What is the capital of Austria?", "Vienna | Vienna. | It's Vienna."),
    Exchanges(
        "In which country is Toronto? | Where do maple leaves stand on the flag?", "Canada | Canada. | In Canada."
    ),
    Exchanges("On which continent is Kenya? | Where is the Sahara?", "Africa | Africa. | In Africa."),
    Exchanges("What colour is snow? | What colour is milk?", "White | white | White. | It's white."),
    Exchanges("What colour is coal? | What colour is a raven?", "Black | black | Black. | It's black."),
    Exchanges("What colour is a lemon? | What colour is the sun in drawings?", "Yellow | yellow | Yellow."),
    Exchanges("What colour is blood? | What colour is a stop sign?", "Red | red | Red. | It is red."),
    Exchanges("Opposite of big? | Antonym of large, one word.", "small | Small. | Little | tiny"),
    Exchanges("Opposite of old? | Antonym of ancient?", "new | New. | Young | young."),
    Exchanges("Opposite of fast? | Synonym of sluggish?", "slow | Slow. | Slow"),
    Exchanges("Which animal barks? | Man's best friend?", "A dog. | dog | The dog. | Dogs"),
    Exchanges("Which animal gives milk? | Name a farm animal.", "A cow. | cow | Goat | The cow."),
    Exchanges("Which animal is grey and has a trunk?", "Elephant | An elephant. | elephants"),
    Exchanges(
        "Name a vegetable. | What should I put into the soup?", "Carrot | Carrots. | An onion. | Peas | Potatoes."
    ),
    Exchanges("Name a drink. | What would you like to drink?", "Tea | Tea, please. | Water. | Coffee | Orange juice"),
    Exchanges("Name an instrument. | What does she play?", "Piano | The violin. | A guitar. | drums | Flute."),
    Exchanges("Name a season. | When do leaves fall?", "Autumn | In autumn. | Fall | Spring. | Winter"),
    Exchanges("Name a sport. | What do they play?", "Football | Tennis. | chess | Basketball. | Swimming"),
    Exchanges("Which day is after Monday? | When is the lesson?", "Tuesday | Tuesday. | On Tuesday."),
    Exchanges("Translate 'house' into Spanish. | Spanish for home?", "casa | Casa. | la casa"),
    Exchanges("Translate 'good day' into Italian.", "Buongiorno | buon giorno | Ciao!"),
    Exchanges("Translate 'cat' into German.", "Katze | die Katze | Katze."),
    Exchanges("Translate 'please' into French.", "s'il vous plaît | S'il te plaît."),
    Exchanges("Translate 'merci' into English. | English for 'danke'?", "Thanks | thank you | Thank you."),
    Exchanges(
        "Label the review as positive or negative: what a lovely stay. | Sentiment of: best pizza in town?"
        " | Sentiment: I would come again.",
        "positive | Positive | Positive. | POSITIVE | good",
    ),
    Exchanges(
        "Label the review as positive or negative: the room was loud. | Sentiment of: cold soup again?"
        " | Sentiment: I want my money back.",
        "negative | Negative | Negative. | NEGATIVE | bad",
    ),
    Exchanges(
        "Label the text: news, sport or weather. | Which topic is it? One word. | Category of this ticket?",
        "news | Sport | weather. | Billing | Shipping. | other | Technology | food",
    ),
    Exchanges(
        "What is the status? | Is the server up? | State of the job, one word?",
        "ok | up | Running. | queued | done | Online | finished | Up.",
    ),
    Exchanges(
        "Which file holds the settings? Name only. | What should I open? | Name of the script?",
        "main.py | config.yaml | README | index.html | setup.cfg | run.sh",
    ),
    Exchanges(
        "Which command lists files? | Command to show the folder? Nothing else.",
        "ls | ls -l | dir | `ls` | pwd",
    ),
    Exchanges(
        "Which keyword defines a function in Python? | What goes here?",
        "def | `def` | def.",
    ),
    Exchanges("Who wrote Faust? | A famous German poet?", "Goethe | Goethe. | It was Goethe."),
    Exchanges("Who painted Guernica? | A famous Spanish painter?", "Picasso | Picasso. | Pablo Picasso"),
    Exchanges("Who discovered gravity? | Who was hit by the apple?", "Newton | Newton. | Isaac Newton."),
    Exchanges(
        "What is the name of the hero? | Who is at the door?", "Anna | It's Tom. | Maria. | My brother. | Mr Lee"
    ),
    Exchanges(
        "Can you help me with homework? | Will you read my letter? | Could you wait a moment?",
        "Of course. | Yes, gladly. | Sure! | Certainly. | Yes, please. | I will. | Happy to. | Go ahead.",
    ),
    Exchanges(
        "Shall I send it now? | May I come in? | Should I continue?",
        "Please do. | Yes, please. | Not yet. | Go on. | Wait. | Continue. | Later. | As you like.",
    ),
    Exchanges(
        "Tea or coffee? | Mountains or sea? | Red or blue? Pick one.",
        "Tea. | The sea. | Both. | Neither. | Blue | The first. | Red!",
    ),
    Exchanges("Spell 'sun'. | Letters of the word sun?", "s-u-n | S U N | s, u, n"),
    Exchanges("Count to four. | First four numbers?", "1 2 3 4 | 1, 2, 3, 4 | One two three four"),
    Exchanges("Which letter comes after B? | Third letter of the alphabet?", "C | c | The C. | C."),
    Exchanges("Symbol of iron? | Chemical symbol with two letters, please.", "Fe | Fe. | Na | He"),
    Exchanges("How long is the table? | Length of the path?", "2 m | 3 km | 120 cm. | Six feet. | a mile"),
    Exchanges("How heavy is the parcel? | Weight of the cat?", "5 kg | 2 kg. | four pounds | 300 g"),
    Exchanges("How old is she? | His age?", "42 | Ten. | 7 years | He's 30."),
    Exchanges("How far along is it? | What share is done?", "50% | 75 %. | Half. | All of it. | 0%"),
)


def brief_rows() -> list[LabelledRow]:
    """Each question with each of its answers, once."""
    pairs = dict.fromkeys(pair for group in GROUPS for pair in group.pairs())
    return [
        LabelledRow(question, answer, "safe", None, BRIEF_ANSWERS, LICENCE, split_of(question))
        for question, answer in pairs
    ]
