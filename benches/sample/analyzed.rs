//! Catalogues of photos that were analyzed long ago, without the time that it takes to look at them.

use std::fmt::Write as _;
use std::path::Path;

use eyefleet::catalog::Catalog;
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use eyefleet::vision::Pack;
use sea_orm::{ConnectionTrait, Database};

use super::vectors::{Dice, grouped};

/// Rows inserted by one statement.
const ROWS: usize = 500;
const SUBJECTS: usize = 60;
const WITH: usize = 12;

/// A catalogue of analyzed photos, as if a fleet had looked at them.
#[tokio::main]
pub async fn fill(data: &Path, photos: usize) {
    let pack = Pack::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter")).unwrap();
    let url = format!("sqlite://{}", data.join("catalog.sqlite").display());
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    catalog.ensure_library(&LibraryId::main(), data).await.unwrap();
    drop(catalog);
    let rows = Database::connect(&url).await.unwrap();
    let dim = pack.manifest().postprocess.embedding.dim;
    let (space, pack) = (pack.space().to_string(), pack.name().to_string());
    let vectors = grouped(1, photos, dim, 300, 0.6);
    let mut dice = Dice::new(2);
    let time = "2026-01-01T00:00:00.000000Z";
    for first in (0..photos).step_by(ROWS) {
        let (mut images, mut stages, mut analyses) = (String::new(), String::new(), String::new());
        for number in first..photos.min(first + ROWS) {
            let comma = if number == first { "" } else { "," };
            let id = format!("{:03}/{number:07}.jpg", number / 10_000);
            let _ = write!(
                images,
                "{comma}('main','{id}','{id}',1,1000,'bench',640,480,'{time}','{time}')"
            );
            for (place, stage) in ["embed", "tag", "describe", "enrich"].into_iter().enumerate() {
                let comma = if place == 0 { comma } else { "," };
                let _ = write!(stages, "{comma}('main','{id}','{stage}','done',1,1,1,'{time}')");
            }
            let (tags, description) = said(&mut dice);
            let vector = &vectors[number * dim..][..dim];
            let hex: String = vector.iter().flat_map(|x| x.to_le_bytes()).fold(
                String::with_capacity(dim * 8),
                |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                },
            );
            let _ = write!(
                analyses,
                "{comma}('main','{id}',1,1,'{space}','{pack}','{tags}','[\"kind{}\"]','{description}','{time}',x'{hex}')",
                number % 9
            );
        }
        for (table, columns, values) in [
            (
                "images",
                "library,image,path,revision,bytes,source,width,height,created_at,updated_at",
                images,
            ),
            ("stages", "library,image,stage,state,revision,fence,attempts,updated_at", stages),
            (
                "analyses",
                "library,image,revision,fence,space,pack,tags,categories,description,stored_at,embedding",
                analyses,
            ),
        ] {
            let statement = format!("INSERT INTO {table} ({columns}) VALUES {values}");
            rows.execute_unprepared(&statement).await.unwrap();
        }
    }
    rows.close().await.unwrap();
}

/// Tags as the catalogue keeps them, and a sentence: a subject and some of what goes with it.
fn said(dice: &mut Dice) -> (String, String) {
    let subject = dice.below(SUBJECTS);
    let with: Vec<String> = (0..WITH)
        .filter(|_| dice.below(10) < 4)
        .map(|thing| format!("thing{}x{thing}", letters(subject)))
        .collect();
    let subject = format!("subject{}", letters(subject));
    let tags = std::iter::once(&subject).chain(&with);
    let tags: Vec<String> =
        tags.map(|tag| format!(r#"{{"name":"{tag}","group":"","score":0.9}}"#)).collect();
    let noise = letters(dice.below(2_000));
    let sentence = format!("a bright {subject} with {} and {noise}", with.join(" and "));
    (format!("[{}]", tags.join(",")), sentence)
}

fn letters(mut number: usize) -> String {
    let mut word = String::from("q");
    for _ in 0..3 {
        word.push((b'a' + (number % 20) as u8) as char);
        number /= 20;
    }
    word
}
