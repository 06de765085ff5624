//! A watched folder: new, changed, moved and deleted photos.
