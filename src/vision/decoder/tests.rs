//! The threads of the decoder, driven by codecs that the tests hold in their hands.

use std::sync::mpsc;
use std::time::Duration;

use image::RgbImage;

use super::*;

fn blank() -> Photo {
    Photo { width: 1, height: 1, pixels: RgbImage::new(1, 1) }
}

/// A codec that reports the first byte of each picture it begins and goes on when told to.
struct Held {
    began: mpsc::Receiver<u8>,
    go_on: mpsc::Sender<()>,
    decoder: Arc<Decoder>,
}

fn held(threads: usize, time_max: Duration) -> Held {
    let (report, began) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let codec = move |bytes: &[u8], _: &DecodeLimits| {
        report.send(bytes[0]).expect("the test listens");
        told.lock().unwrap().recv().expect("the test tells");
        Ok(blank())
    };
    let limits = DecodeLimits { time_max, ..DecodeLimits::default() };
    let decoder = Arc::new(Decoder::with_codec(threads, limits, Box::new(codec)));
    Held { began, go_on, decoder }
}

fn start(decoder: &Arc<Decoder>, name: u8) -> tokio::task::JoinHandle<Result<Photo, DecodeError>> {
    let decoder = Arc::clone(decoder);
    tokio::spawn(async move { decoder.decode(vec![name]).await })
}

/// Lets the other tasks run until `holds`; the decoder's own threads set the pace.
async fn until(holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "waited too long");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_goes_through_the_real_codec() {
    let decoder = Decoder::new(2, DecodeLimits::default());
    let mut bytes = Vec::new();
    let picture = image::DynamicImage::ImageRgb8(RgbImage::new(7, 5));
    picture.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    let photo = decoder.decode(bytes).await.unwrap();
    assert_eq!((photo.width, photo.height), (7, 5));
    assert_eq!(decoder.decode(Vec::new()).await.unwrap_err(), DecodeError::Empty);
    assert_eq!(decoder.decode(b"text".to_vec()).await.unwrap_err(), DecodeError::NotAnImage);
    assert_eq!(decoder.stats().decoded, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_stays_in_its_picture() {
    let codec = |bytes: &[u8], _: &DecodeLimits| {
        assert!(bytes != b"bad", "index out of range in some codec");
        Ok(blank())
    };
    let decoder = Decoder::with_codec(1, DecodeLimits::default(), Box::new(codec));
    let error = decoder.decode(b"bad".to_vec()).await.unwrap_err();
    assert!(matches!(&error, DecodeError::Panicked { cause } if cause.contains("some codec")));
    assert!(decoder.decode(b"good".to_vec()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_caller_left_is_never_begun() {
    let held = held(1, LONG);
    let first = start(&held.decoder, 1);
    assert_eq!(held.began.recv(), Ok(1));
    let second = start(&held.decoder, 2);
    until(|| held.decoder.stats().waiting == 1).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    let third = start(&held.decoder, 3);
    held.go_on.send(()).unwrap();
    assert_eq!(held.began.recv(), Ok(3), "the second was skipped");
    held.go_on.send(()).unwrap();
    assert!(first.await.unwrap().is_ok() && third.await.unwrap().is_ok());
    assert_eq!(held.decoder.stats().skipped, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_and_its_places_come_back() {
    let held = held(1, LONG);
    let tasks: Vec<_> = (0..6).map(|name| start(&held.decoder, name)).collect();
    held.began.recv().unwrap();
    until(|| held.decoder.stats().waiting == 2).await;
    assert_eq!(held.decoder.places.available_permits(), 0, "the others wait outside");
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    held.go_on.send(()).unwrap();
    until(|| held.decoder.places.available_permits() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_thread_is_replaced_and_leaves_when_it_ends() {
    let held = held(1, SHORT);
    let stuck = start(&held.decoder, 1).await.unwrap().unwrap_err();
    assert_eq!(stuck, DecodeError::TimedOut { time_max: SHORT });
    assert_eq!(held.began.recv(), Ok(1));
    assert_eq!(held.decoder.stats().stuck, 1);

    // The replacement serves the next one while the first is still stuck.
    held.go_on.send(()).unwrap();
    held.go_on.send(()).unwrap();
    let _ = start(&held.decoder, 2).await.unwrap();
    until(|| held.decoder.stats().stuck == 0).await;
    assert_eq!(held.decoder.stats().timed_out, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_threads_are_stuck_callers_are_told_until_one_ends() {
    let held = held(1, SHORT);
    for name in [1, 2] {
        let error = start(&held.decoder, name).await.unwrap().unwrap_err();
        assert!(matches!(error, DecodeError::TimedOut { .. }), "{error}");
    }
    // One thread and its one replacement are gone.
    let error = start(&held.decoder, 3).await.unwrap().unwrap_err();
    assert_eq!(error, DecodeError::NoThreadLeft { stuck: 2 });
    held.go_on.send(()).unwrap();
    held.go_on.send(()).unwrap();
    until(|| held.decoder.stats().stuck == 0).await;
    held.go_on.send(()).unwrap();
    assert!(start(&held.decoder, 4).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_decoder_ends_its_threads() {
    let decoder = Decoder::new(3, DecodeLimits::default());
    let shared = Arc::downgrade(&decoder.shared);
    drop(decoder);
    until(|| shared.strong_count() == 0).await;
}
