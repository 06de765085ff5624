//! `eyefleet show`: what is known of one image.

use super::args::ShowArgs;
use super::{Client, Exit};
use crate::serve::ImageAnswer;

pub(super) async fn show(client: &Client, args: &ShowArgs, json: bool) -> anyhow::Result<Exit> {
    let Some(record) = client.catalog.image(&args.library, &args.image).await? else {
        eprintln!(
            "library {} has no image {}: `eyefleet search` finds images by what is in them",
            args.library, args.image
        );
        return Ok(Exit::NotFound);
    };
    let failed = client.catalog.detail_failure(&args.library, &args.image, record.revision).await?;
    let answer = ImageAnswer::from(record).with_detail(failed);
    if json {
        say!("{}", serde_json::to_string(&answer)?);
        return Ok(Exit::Done);
    }
    say!("{} (revision {})", answer.image, answer.revision);
    if answer.removed_at.is_some() {
        let by = if answer.removed_by_owner { " by its owner" } else { "" };
        say!("  removed      from the library{by}; `eyefleet add` of its file brings it back");
    }
    if let (Some(width), Some(height)) = (answer.width, answer.height) {
        say!("  size         {width} x {height}");
    }
    say!("  description  {}", answer.description.as_deref().unwrap_or("none"));
    if let Some(detailed) = &answer.detailed_description {
        say!("  in detail    {detailed}");
    }
    if let Some(enriched) = &answer.enriched_description {
        say!("  enriched     {enriched}");
    }
    let tags: Vec<_> = answer.tags.iter().map(|(tag, score)| format!("{tag} {score:.2}")).collect();
    say!("  tags         {}", or_none(&tags));
    say!("  related      {}", or_none(&answer.related_tags));
    say!("  categories   {}", or_none(&answer.categories));
    if !answer.corrected.is_empty() {
        say!(
            "  corrected    {} (`eyefleet correct --undo` takes that back)",
            answer.corrected.join(", ")
        );
    }
    if let Some(generation) = answer.generation {
        say!("  generation   {generation}");
    }
    for (stage, state) in &answer.stages {
        let reason = state.reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
        say!("  {stage:<12} {}{reason}", state.state);
    }
    Ok(Exit::Done)
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
