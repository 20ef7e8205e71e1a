//! The vocabulary of the games: archetypes with places, resources, people and
//! tools. It holds words only; what they cost and do is `tasks`' to say.

use crate::words::Choices;

/// One kind of world that a game can be set in.
#[derive(Debug)]
pub(crate) struct Archetype {
    pub(crate) keywords: &'static str,
    pub(crate) place: &'static str,
    /// For names that say nothing.
    pub(crate) theme: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) hue: u16,
    pub(crate) dark: bool,
    pub(crate) action: &'static str,
    pub(crate) feedback: &'static str,
    /// Name, symbol, description.
    pub(crate) coins: [(&'static str, &'static str, &'static str); 4],
    /// From small to large.
    pub(crate) sources: [&'static str; 5],
    pub(crate) tools: [&'static str; 4],
    pub(crate) boosts: [&'static str; 4],
    pub(crate) nouns: [&'static str; 4],
}

/// The first archetype that knows one of the theme's words, else any.
pub(crate) fn archetype(theme: &str, choices: &Choices) -> &'static Archetype {
    let knows = |archetype: &&Archetype| {
        theme
            .to_lowercase()
            .split_whitespace()
            .any(|word| archetype.keywords.split(' ').any(|keyword| keyword == word))
    };
    let any = choices.of("archetype").below(ARCHETYPES.len());
    ARCHETYPES.iter().find(knows).unwrap_or(&ARCHETYPES[any])
}

/// Words before a currency's name, so that two games of one archetype differ.
pub(crate) const QUALITIES: &[&str] = &[
    "Amber", "Bright", "Copper", "Early", "Fine", "Golden", "Hidden", "Humble", "Ivory", "Late",
    "Lucky", "Mellow", "Painted", "Plain", "Polished", "Quiet", "Rare", "Rough", "Scarlet",
    "Silver", "Slow", "Stray", "Velvet", "Wild",
];

const ARCHETYPES: &[Archetype] = &[
    Archetype {
        keywords: "sea ocean ship ships harbour harbor lighthouse keepers pirate pirates fish fishing sailor island coast whale boat",
        place: "the northern shore",
        theme: "lighthouse nights",
        tone: "calm and salty",
        hue: 205,
        dark: true,
        action: "Light the lamp",
        feedback: "The beam sweeps out",
        coins: [
            ("Beams", "✦", "Light that reached a ship"),
            ("Shells", "◖", "Found at low tide"),
            ("Driftwood", "≈", "Carried in by storms"),
            ("Pearls", "●", "Traded by passing crews"),
        ],
        sources: [
            "Night watch",
            "Fog bell",
            "Rowing crew",
            "Harbour pilot",
            "Tide mill",
        ],
        tools: ["Brass lens", "Oiled rope", "Signal flag", "Copper wick"],
        boosts: [
            "Clear weather",
            "Old sea chart",
            "Captain's letter",
            "Spring tide",
        ],
        nouns: ["Watch", "Shore", "Signal", "Tide"],
    },
    Archetype {
        keywords: "space star stars planet planets rocket rockets alien aliens moon galaxy astronaut astronauts comet mars orbit",
        place: "a quiet orbit",
        theme: "distant moons",
        tone: "wide and weightless",
        hue: 250,
        dark: true,
        action: "Fire the thruster",
        feedback: "A short blue burn",
        coins: [
            ("Stardust", "✧", "Swept up from the void"),
            ("Ore", "◆", "Chipped from an asteroid"),
            ("Signals", "∿", "Heard from far away"),
            ("Helium", "○", "Skimmed off a gas giant"),
        ],
        sources: [
            "Survey probe",
            "Mining drone",
            "Solar sail",
            "Docking crew",
            "Deep dish",
        ],
        tools: ["Plasma torch", "Magnetic boots", "Star map", "Fuel valve"],
        boosts: [
            "Gravity assist",
            "Cold fusion",
            "Clear signal",
            "Second stage",
        ],
        nouns: ["Orbit", "Voyage", "Station", "Drift"],
    },
    Archetype {
        keywords: "garden gardens gardener flower flowers plant plants farm farmer farmers tree orchard vegetable vegetables seed seeds mushroom mushrooms",
        place: "a walled garden",
        theme: "the kitchen garden",
        tone: "slow and green",
        hue: 110,
        dark: false,
        action: "Water the beds",
        feedback: "Leaves lift a little",
        coins: [
            ("Seeds", "❀", "Dried on the windowsill"),
            ("Blossoms", "✿", "Picked in the morning"),
            ("Compost", "▲", "Dark and warm"),
            ("Apples", "◉", "Stored in straw"),
        ],
        sources: [
            "Robin",
            "Apprentice",
            "Rain barrel",
            "Greenhouse",
            "Beehive",
        ],
        tools: [
            "Sharp trowel",
            "Long hose",
            "Pruning shears",
            "Willow basket",
        ],
        boosts: [
            "Good soil",
            "Long summer",
            "South wall",
            "Grandmother's almanac",
        ],
        nouns: ["Garden", "Season", "Harvest", "Row"],
    },
    Archetype {
        keywords: "bakery baker bakers bread cake cakes cookie cookies pizza kitchen chef chefs cook cooking restaurant soup sushi food pie",
        place: "a corner bakery",
        theme: "the morning bakery",
        tone: "warm and floury",
        hue: 28,
        dark: false,
        action: "Knead the dough",
        feedback: "Flour in the air",
        coins: [
            ("Loaves", "◗", "Still warm"),
            ("Crumbs", "∴", "Swept from the board"),
            ("Recipes", "❧", "Written on the back of bills"),
            ("Tips", "¢", "Left in a jar"),
        ],
        sources: [
            "Apprentice",
            "Stone oven",
            "Delivery bicycle",
            "Pastry cook",
            "Second shop",
        ],
        tools: ["Rolling pin", "Proofing basket", "Oven peel", "Copper bowl"],
        boosts: [
            "Sourdough starter",
            "Market day",
            "Butter from the hills",
            "Good review",
        ],
        nouns: ["Oven", "Bakery", "Crust", "Morning"],
    },
    Archetype {
        keywords: "mine mines miner miners mining dwarf dwarves gold gem gems cave caves digging dig stone crystal crystals",
        place: "the deep galleries",
        theme: "the old mine",
        tone: "stubborn and echoing",
        hue: 35,
        dark: true,
        action: "Swing the pick",
        feedback: "Sparks on the rock",
        coins: [
            ("Nuggets", "◆", "Weighed at the lift"),
            ("Crystals", "◇", "They hum when it is quiet"),
            ("Coal", "■", "For the forge"),
            ("Lamp oil", "◊", "Nobody digs without it"),
        ],
        sources: [
            "Cart pony",
            "Dwarf crew",
            "Steam drill",
            "Ore lift",
            "Blasting team",
        ],
        tools: ["Iron pick", "Carbide lamp", "Pit prop", "Diamond tip"],
        boosts: ["Rich vein", "Foreman's map", "Dry gallery", "Payday"],
        nouns: ["Mine", "Vein", "Gallery", "Depths"],
    },
    Archetype {
        keywords: "library librarian librarians book books story stories writer writers poem poet archive letter letters school teacher",
        place: "a library that never closes",
        theme: "the night library",
        tone: "hushed and curious",
        hue: 350,
        dark: false,
        action: "Turn the page",
        feedback: "A page whispers",
        coins: [
            ("Pages", "¶", "Read to the end"),
            ("Notes", "♪", "Pencilled in the margin"),
            ("Bookmarks", "‡", "Lost and found"),
            ("Stamps", "▣", "Red ink, slightly crooked"),
        ],
        sources: [
            "Reading circle",
            "Card catalogue",
            "Night librarian",
            "Copyist",
            "Printing press",
        ],
        tools: [
            "Reading lamp",
            "Rolling ladder",
            "Fountain pen",
            "Magnifier",
        ],
        boosts: [
            "Quiet hour",
            "First edition",
            "Rainy Sunday",
            "Donated shelf",
        ],
        nouns: ["Library", "Chapter", "Archive", "Story"],
    },
    Archetype {
        keywords: "forest wood woods animal animals fox foxes bear bears wolf wolves owl owls deer squirrel squirrels hedgehog hedgehogs camp hiking",
        place: "the old forest",
        theme: "forest paths",
        tone: "soft and watchful",
        hue: 150,
        dark: true,
        action: "Follow the trail",
        feedback: "Twigs snap underfoot",
        coins: [
            ("Acorns", "◉", "Hidden, mostly remembered"),
            ("Feathers", "⌇", "Each from another bird"),
            ("Berries", "⁂", "Stain everything"),
            ("Tracks", "∵", "Read in the mud"),
        ],
        sources: [
            "Squirrel",
            "Fox scout",
            "Owl post",
            "Beaver lodge",
            "Ranger",
        ],
        tools: ["Walking stick", "Bark basket", "Spyglass", "Soft boots"],
        boosts: ["First frost", "Full moon", "Hidden spring", "Quiet glade"],
        nouns: ["Forest", "Trail", "Hollow", "Grove"],
    },
    Archetype {
        keywords: "magic wizard wizards witch witches dragon dragons spell spells potion potions castle knight knights fairy unicorn ghost ghosts kingdom",
        place: "a crooked tower",
        theme: "the crooked tower",
        tone: "strange and hopeful",
        hue: 285,
        dark: true,
        action: "Cast the charm",
        feedback: "Violet sparks",
        coins: [
            ("Mana", "✶", "Collects in corners"),
            ("Scales", "◈", "Shed, never taken"),
            ("Runes", "ᚱ", "Warm to the touch"),
            ("Moonstones", "☾", "Brighter each night"),
        ],
        sources: [
            "Familiar",
            "Bubbling cauldron",
            "Broom courier",
            "Young dragon",
            "Clock golem",
        ],
        tools: [
            "Ash wand",
            "Silver ink",
            "Star-stitched glove",
            "Spell book",
        ],
        boosts: [
            "Planet alignment",
            "Sworn oath",
            "Dragon's favour",
            "Third wish",
        ],
        nouns: ["Tower", "Spell", "Realm", "Charm"],
    },
    Archetype {
        keywords: "robot robots factory machine machines engineer engineers computer computers code coder programmer hacker cyber steam steampunk gear",
        place: "a workshop of machines",
        theme: "the machine shop",
        tone: "brisk and oiled",
        hue: 190,
        dark: true,
        action: "Turn the crank",
        feedback: "Gears click forward",
        coins: [
            ("Gears", "⚙", "Cut to the tenth"),
            ("Bolts", "⬡", "There are never enough"),
            ("Circuits", "⌗", "Printed overnight"),
            ("Volts", "ϟ", "Handle with care"),
        ],
        sources: [
            "Sorting arm",
            "Welding bot",
            "Conveyor belt",
            "Assembly line",
            "Night shift",
        ],
        tools: ["Torque wrench", "Oil can", "Blueprint", "Soldering iron"],
        boosts: [
            "Overclock",
            "Spare power",
            "Better firmware",
            "Zero defects",
        ],
        nouns: ["Works", "Machine", "Assembly", "Engine"],
    },
    Archetype {
        keywords: "city cities town train trains railway traffic bus car cars taxi bridge bridges builder builders road street subway tram",
        place: "a growing town",
        theme: "the small railway",
        tone: "busy and bright",
        hue: 215,
        dark: false,
        action: "Sell a ticket",
        feedback: "Click, stamped",
        coins: [
            ("Tickets", "▤", "Punched at the gate"),
            ("Rails", "═", "Laid end to end"),
            ("Bricks", "▬", "Fired by the river"),
            ("Fares", "$", "Counted every evening"),
        ],
        sources: [
            "Conductor",
            "Branch line",
            "Night bus",
            "Signal box",
            "Grand station",
        ],
        tools: ["Ticket punch", "Pocket watch", "Whistle", "Timetable"],
        boosts: [
            "Rush hour",
            "New bridge",
            "Festival week",
            "Express service",
        ],
        nouns: ["Line", "Junction", "Town", "Station"],
    },
    Archetype {
        keywords: "music musician musicians band song songs guitar piano drum drums dance dancer dancers jazz opera choir singer concert radio",
        place: "the square behind the station",
        theme: "the street band",
        tone: "loud and kind",
        hue: 325,
        dark: true,
        action: "Play a note",
        feedback: "It hangs in the air",
        coins: [
            ("Notes", "♪", "Most of them right"),
            ("Claps", "✳", "From the back row too"),
            ("Records", "◎", "Pressed on Fridays"),
            ("Encores", "♫", "They would not leave"),
        ],
        sources: [
            "Busker",
            "Drummer",
            "Brass section",
            "Radio hour",
            "Orchestra",
        ],
        tools: ["New strings", "Metronome", "Stage light", "Tuned piano"],
        boosts: [
            "Full house",
            "Catchy chorus",
            "Good acoustics",
            "Hit single",
        ],
        nouns: ["Band", "Stage", "Rhythm", "Encore"],
    },
    Archetype {
        keywords: "winter snow ice penguin penguins christmas santa ski arctic cold frozen polar yeti sled sledge",
        place: "a village under snow",
        theme: "the snowed-in village",
        tone: "crisp and bright",
        hue: 200,
        dark: false,
        action: "Roll a snowball",
        feedback: "Crunch",
        coins: [
            ("Snowflakes", "❄", "No two the same"),
            ("Icicles", "▼", "Sharp until noon"),
            ("Mittens", "∩", "Never in pairs"),
            ("Cocoa", "◓", "Cooling on the sill"),
        ],
        sources: [
            "Snow fort",
            "Sled dogs",
            "Penguin parade",
            "Ice cutter",
            "Aurora camp",
        ],
        tools: ["Wool gloves", "Ice skates", "Wide shovel", "Warm thermos"],
        boosts: ["Fresh powder", "Northern lights", "Long night", "Clear ice"],
        nouns: ["Winter", "Frost", "Village", "Snowfall"],
    },
    Archetype {
        keywords: "desert sand pyramid pyramids egypt archaeology archaeologist archaeologists museum dinosaur dinosaurs fossil fossils ruin ruins camel treasure temple",
        place: "the dunes",
        theme: "the buried temple",
        tone: "dusty and patient",
        hue: 42,
        dark: false,
        action: "Brush the sand",
        feedback: "Something glints",
        coins: [
            ("Shards", "◢", "Numbered and drawn"),
            ("Relics", "☥", "Older than the road"),
            ("Fossils", "@", "Still in their stone"),
            ("Sketches", "✎", "Made before it fades"),
        ],
        sources: [
            "Student dig",
            "Camel train",
            "Sieve crew",
            "Night camp",
            "Museum team",
        ],
        tools: ["Fine brush", "Field notes", "Plumb line", "Hand lens"],
        boosts: [
            "Old inscription",
            "Cool morning",
            "Hidden chamber",
            "Museum grant",
        ],
        nouns: ["Dig", "Dune", "Temple", "Find"],
    },
    Archetype {
        keywords: "bee bees honey insect insects ant ants butterfly butterflies beetle spider spiders hive swarm",
        place: "a meadow in June",
        theme: "the humming meadow",
        tone: "busy and golden",
        hue: 48,
        dark: false,
        action: "Visit a flower",
        feedback: "Pollen everywhere",
        coins: [
            ("Honey", "⬢", "Summer in a jar"),
            ("Pollen", "∷", "Sticks to everything"),
            ("Wax", "◍", "Built in sixes"),
            ("Nectar", "◌", "A drop at a time"),
        ],
        sources: [
            "Worker bee",
            "Scout dance",
            "Second hive",
            "Clover field",
            "Beekeeper",
        ],
        tools: ["Smoke can", "Honey spoon", "Wide veil", "Clean frame"],
        boosts: ["Linden bloom", "Warm evening", "New queen", "Wild border"],
        nouns: ["Hive", "Swarm", "Meadow", "Comb"],
    },
    Archetype {
        keywords: "cat cats kitten kittens dog dogs puppy pet pets cafe coffee tea shop market merchant merchants trade trader",
        place: "a café full of cats",
        theme: "the cat café",
        tone: "cosy and sly",
        hue: 18,
        dark: false,
        action: "Pour a cup",
        feedback: "A tail flicks",
        coins: [
            ("Purrs", "♥", "Freely given"),
            ("Cups", "∪", "Washed by hand"),
            ("Yarn", "§", "Unwound again"),
            ("Regulars", "☺", "They know the menu"),
        ],
        sources: [
            "Barista",
            "Tabby on the till",
            "Window seat",
            "Roasting drum",
            "Second floor",
        ],
        tools: ["Milk jug", "Feather toy", "Good grinder", "Soft cushion"],
        boosts: [
            "Rainy afternoon",
            "Secret blend",
            "Kitten season",
            "Neighbourhood fame",
        ],
        nouns: ["Café", "Corner", "Cushion", "Parlour"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_theme_leads_to_its_archetype() {
        let choices = Choices::from("x");
        assert_eq!(
            archetype("lighthouse keepers", &choices).place,
            "the northern shore"
        );
        assert_eq!(archetype("BEES", &choices).place, "a meadow in June");
        assert_eq!(
            archetype("xyzzy", &choices).place,
            archetype("plugh", &choices).place
        );
    }

    #[test]
    fn no_keyword_belongs_to_two_archetypes() {
        let mut seen = std::collections::BTreeSet::new();
        for keyword in ARCHETYPES
            .iter()
            .flat_map(|archetype| archetype.keywords.split(' '))
        {
            assert!(seen.insert(keyword), "{keyword}");
        }
        assert!(ARCHETYPES.len() >= 12);
    }
}
