//! The words of `eyefleet correct` and `eyefleet remove`.

use clap::Args;

use crate::names::{ImageId, LibraryId};

/// `eyefleet correct`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["tags", "description", "undo"]))]
pub struct CorrectArgs {
    /// The image's id: its path within the library where it was added from files.
    pub image: ImageId,
    /// All of its tags, with commas between them; "" for none. Whatever else was said of it until
    /// now, by models or from what was learned, stays away.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Option<Vec<String>>,
    /// Its description; "" for none.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Take back all corrections of this image: the models' words count again.
    #[arg(long, conflicts_with_all = ["tags", "description"])]
    pub undo: bool,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}

/// `eyefleet remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "A removed image stays removed, through every look at a watched folder, reprocessing and training, \
                  also where its file is renamed or moved. A file with other content under its name is another photo. \
                  `eyefleet add FILE` brings a removed image back; what its owner said of it is kept."
)]
pub struct RemoveArgs {
    /// Ids of images: their paths within the library where they were added from files.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<ImageId>,
    /// Library in question.
    #[arg(long, default_value = "main")]
    pub library: LibraryId,
}
