//! The catalogue of subjects: what can be drawn, where it may stand, and what it is called.
//! A name here is a tag of the starter pack's vocabulary; the two lists must stay equal, and the
//! pack's training script reads this one through the `draw` command.

mod flowers;
mod food;
mod land;
mod living;
mod sea;
mod shapes;
mod town;
mod wheels;

use crate::brush::Brush;
use crate::tone::Tone;

/// Where a subject is put in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Its foot on the ground or the table.
    Ground,
    /// Its foot at the horizon, behind everything else.
    Horizon,
    /// In the air.
    Air,
    /// In the middle of the picture.
    Middle,
}

/// When a subject can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hours {
    Any,
    Day,
    Dark,
    Night,
}

pub(crate) struct Subject {
    pub name: &'static str,
    /// How a caption calls it, with its article and without a colour.
    pub phrase: &'static str,
    pub category: &'static str,
    pub anchor: Anchor,
    pub hours: Hours,
    /// Height as a share of the picture's shorter side.
    pub size: (f32, f32),
    /// Places it is found in; empty for a plain background.
    pub places: &'static [&'static str],
    /// Colours it may be painted in; empty when its colour is its own.
    pub colours: &'static [&'static str],
    pub draw: fn(&mut Brush, Tone),
}

const NONE: &[&str] = &[];
const PAINTS: &[&str] =
    &["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black"];
const BRIGHT: &[&str] = &["red", "orange", "yellow", "green", "blue", "purple", "pink"];
const PETALS: &[&str] = &["red", "orange", "yellow", "purple", "pink", "white"];
const SAILS: &[&str] = &["red", "orange", "yellow", "green", "blue", "purple", "white"];
const WALLS: &[&str] = &["red", "yellow", "blue", "white", "pink", "green"];
const OUTDOORS: &[&str] = &["countryside", "beach", "street", "snow", "forest", "city"];

macro_rules! subject {
    ($name:literal, $phrase:literal, $category:literal, $anchor:ident, $hours:ident, $size:expr, $places:expr, $colours:expr, $draw:path) => {
        Subject {
            name: $name,
            phrase: $phrase,
            category: $category,
            anchor: Anchor::$anchor,
            hours: Hours::$hours,
            size: $size,
            places: $places,
            colours: $colours,
            draw: $draw,
        }
    };
}

/// Every subject, in a fixed order.
#[rustfmt::skip]
pub(crate) const SUBJECTS: &[Subject] = &[
    subject!("mountain", "a mountain", "landscape", Horizon, Any, (0.42, 0.6), &["countryside", "snow"], NONE, land::mountain),
    subject!("volcano", "a volcano", "landscape", Horizon, Any, (0.5, 0.66), &["countryside", "sea", "desert"], NONE, land::volcano),
    subject!("waterfall", "a waterfall", "landscape", Ground, Any, (0.6, 0.8), &["forest", "countryside"], NONE, land::waterfall),
    subject!("pine tree", "a pine tree", "landscape", Ground, Any, (0.5, 0.8), &["countryside", "snow", "forest"], NONE, land::pine),
    subject!("cactus", "a cactus", "landscape", Ground, Any, (0.5, 0.78), &["desert"], NONE, land::cactus),
    subject!("pyramid", "a pyramid", "landscape", Ground, Any, (0.5, 0.75), &["desert"], NONE, land::pyramid),
    subject!("windmill", "a windmill", "landscape", Ground, Any, (0.6, 0.85), &["countryside"], NONE, land::windmill),
    subject!("snowman", "a snowman", "landscape", Ground, Any, (0.55, 0.8), &["snow"], NONE, land::snowman),
    subject!("rainbow", "a rainbow", "landscape", Horizon, Day, (0.5, 0.7), &["countryside", "sea"], NONE, land::rainbow),
    subject!("sailboat", "a sailboat", "sea", Ground, Any, (0.45, 0.72), &["sea"], SAILS, sea::sailboat),
    subject!("ship", "a ship", "sea", Ground, Any, (0.55, 0.75), &["sea"], SAILS, sea::ship),
    subject!("lighthouse", "a lighthouse", "sea", Ground, Any, (0.65, 0.88), &["sea", "beach"], NONE, sea::lighthouse),
    subject!("palm tree", "a palm tree", "sea", Ground, Any, (0.6, 0.85), &["beach", "desert"], NONE, sea::palm),
    subject!("parasol", "a parasol", "sea", Ground, Any, (0.5, 0.72), &["beach"], BRIGHT, sea::parasol),
    subject!("skyscrapers", "skyscrapers", "city", Ground, Any, (0.55, 0.75), &["city"], NONE, town::skyscrapers),
    subject!("house", "a house", "city", Ground, Any, (0.48, 0.7), &["street", "countryside", "snow"], WALLS, town::house),
    subject!("bridge", "a bridge", "city", Ground, Any, (0.45, 0.58), &["sea"], NONE, town::bridge),
    subject!("church", "a church", "city", Ground, Any, (0.6, 0.8), &["countryside", "snow"], NONE, town::church),
    subject!("moon", "the moon", "night", Air, Night, (0.4, 0.6), &["sky", "sea", "countryside"], NONE, town::moon),
    subject!("campfire", "a campfire", "night", Ground, Dark, (0.45, 0.68), &["forest", "desert", "beach"], NONE, town::campfire),
    subject!("fireworks", "fireworks", "night", Air, Night, (0.7, 0.9), &["city", "sea"], NONE, town::fireworks),
    subject!("pizza", "a pizza", "food", Ground, Any, (0.6, 0.85), &["table"], NONE, food::pizza),
    subject!("cake", "a cake", "food", Ground, Any, (0.55, 0.75), &["table"], NONE, food::cake),
    subject!("apple", "an apple", "food", Ground, Any, (0.45, 0.68), &["table"], &["red", "green", "yellow"], food::apple),
    subject!("fruit bowl", "a bowl of fruit", "food", Ground, Any, (0.6, 0.85), &["table"], NONE, food::fruit_bowl),
    subject!("coffee", "a cup of coffee", "food", Ground, Any, (0.58, 0.8), &["table"], NONE, food::coffee),
    subject!("ice cream", "an ice cream", "food", Ground, Any, (0.65, 0.85), &["table"], NONE, food::ice_cream),
    subject!("burger", "a burger", "food", Ground, Any, (0.58, 0.82), &["table"], NONE, food::burger),
    subject!("watermelon", "a slice of watermelon", "food", Ground, Any, (0.55, 0.8), &["table"], NONE, food::watermelon),
    subject!("sunflower", "a sunflower", "flowers", Ground, Any, (0.65, 0.88), &["countryside", "table"], NONE, flowers::sunflower),
    subject!("rose", "a rose", "flowers", Ground, Any, (0.65, 0.88), &["countryside", "table"], PETALS, flowers::rose),
    subject!("tulip", "a tulip", "flowers", Ground, Any, (0.65, 0.88), &["countryside", "table"], PETALS, flowers::tulip),
    subject!("daisy", "a daisy", "flowers", Ground, Any, (0.65, 0.88), &["countryside", "table"], NONE, flowers::daisy),
    subject!("car", "a car", "vehicles", Ground, Any, (0.6, 0.85), &["street", "countryside", "desert", "snow"], PAINTS, wheels::car),
    subject!("truck", "a truck", "vehicles", Ground, Any, (0.6, 0.85), &["street", "countryside", "desert"], BRIGHT, wheels::truck),
    subject!("bus", "a bus", "vehicles", Ground, Any, (0.6, 0.82), &["street", "city"], BRIGHT, wheels::bus),
    subject!("bicycle", "a bicycle", "vehicles", Ground, Any, (0.58, 0.8), &["street", "countryside", "beach"], BRIGHT, wheels::bicycle),
    subject!("train", "a train", "vehicles", Ground, Any, (0.55, 0.72), &["countryside", "desert", "snow"], BRIGHT, wheels::train),
    subject!("aeroplane", "an aeroplane", "vehicles", Air, Any, (0.55, 0.85), &["sky", "sea"], BRIGHT, wheels::aeroplane),
    subject!("balloon", "a hot-air balloon", "vehicles", Air, Any, (0.5, 0.75), &["sky", "countryside", "desert"], BRIGHT, wheels::balloon),
    subject!("person", "a person", "people", Ground, Any, (0.6, 0.82), OUTDOORS, NONE, living::person),
    subject!("group", "a group of people", "people", Ground, Any, (0.52, 0.72), OUTDOORS, NONE, living::group),
    subject!("child", "a child with a ball", "people", Ground, Any, (0.55, 0.75), &["countryside", "beach", "street"], NONE, living::child),
    subject!("cat", "a cat", "animals", Ground, Any, (0.5, 0.75), &["countryside", "street", "snow"], NONE, living::cat),
    subject!("bird", "a bird", "animals", Ground, Any, (0.45, 0.68), &["countryside", "beach", "snow"], NONE, living::bird),
    subject!("fish", "a fish", "animals", Middle, Any, (0.5, 0.8), &["underwater"], BRIGHT, living::fish),
    subject!("butterfly", "a butterfly", "animals", Air, Day, (0.5, 0.72), &["countryside"], BRIGHT, living::butterfly),
    subject!("circle", "a circle", "shapes", Middle, Any, (0.4, 0.75), NONE, PAINTS, shapes::circle),
    subject!("square", "a square", "shapes", Middle, Any, (0.4, 0.72), NONE, PAINTS, shapes::square),
    subject!("triangle", "a triangle", "shapes", Middle, Any, (0.42, 0.75), NONE, PAINTS, shapes::triangle),
    subject!("star", "a star", "shapes", Middle, Any, (0.42, 0.75), NONE, PAINTS, shapes::star),
    subject!("heart", "a heart", "shapes", Middle, Any, (0.42, 0.75), NONE, PAINTS, shapes::heart),
];
