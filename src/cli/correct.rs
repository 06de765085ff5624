//! `eyefleet correct`: what the owner says of one image.
//!
//! What must stay true: when the command ends, the owner's word stands in the catalogue, which Redis
//! being emptied cannot take away. The queue is only asked to enrich the image anew.

use anyhow::anyhow;
use fleetq::Lane;
use serde_json::json;

use super::args::CorrectArgs;
use super::{Client, Exit};
use crate::catalog::Stage;
use crate::jobs::{Origin, offer};
use crate::owners_word::Said;
use crate::reconcile::analyze_job;

pub(super) async fn correct(
    client: &Client,
    args: &CorrectArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (catalog, library, image) = (&client.catalog, &args.library, &args.image);
    let corrected = if args.undo {
        catalog.undo_corrections(library, image, client.clock.now()).await?
    } else {
        let said = Said::checked(args.tags.as_deref(), args.description.as_deref());
        let said = said.map_err(|why| anyhow!("image {image} is not corrected: {why}"))?;
        catalog.correct(library, image, &said, client.clock.now()).await?
    };
    let Some(corrected) = corrected else {
        eprintln!(
            "library {library} has no image {image}: `eyefleet search` finds images by what is in them"
        );
        return Ok(Exit::NotFound);
    };
    let waiting = catalog.waiting_stages(library, image, corrected.image.revision).await?;
    if waiting.contains(&Stage::Enrich) {
        let origin = Origin::command();
        let job = analyze_job(library, &corrected.image, Lane::Interactive, &origin);
        // A queue that is drained gets it from reconciliation when it is resumed.
        offer(&client.analyze, vec![job]).await?;
    }
    if json {
        say!("{}", json!({ "image": image, "applied": corrected.applied }));
    } else if corrected.applied {
        let done = if args.undo { "the models' words of it count again" } else { "corrected" };
        say!("{image}: {done}");
    } else {
        let what =
            if args.undo { "nothing was corrected" } else { "something was said of it later" };
        say!("{image}: {what}, nothing changes");
    }
    Ok(Exit::Done)
}
