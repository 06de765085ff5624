//! A watched folder: new, changed, moved and deleted photos.
//!
//! A failure is a photo on disk that is not analyzed in the end, one in the library that is not on
//! disk, a photo that was read again though nothing had changed, or anything removed because a
//! folder could not be seen.

use std::path::{Path, PathBuf};
use std::process::Command;

use drawn::Generator;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, Up, eyefleet, photos, run, stdout, wait_for};

/// A data folder and a folder of photos.
struct Place {
    _folder: TempDir,
    data: PathBuf,
    photos: PathBuf,
}

impl Place {
    fn new(count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, place) = (folder.path().join("data"), folder.path().join("photos"));
        photos(&place, count);
        Self { data, photos: place, _folder: folder }
    }

    /// `eyefleet up`, with the folder named or remembered.
    fn up(&self, named: bool) -> Up {
        let mut command = eyefleet(&self.data);
        command.arg("up");
        if named {
            command.arg("--photos").arg(&self.photos);
        }
        let process = Running::start(quick(&mut command));
        let up = Up { process, data: self.data.clone() };
        up.wait_until_ready();
        up
    }

    fn draw(&self, name: &str, index: u64) {
        let file = self.photos.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let drawing = drawn::draw(Generator::Second, 23, index);
        std::fs::write(file, drawing.to_jpeg(88).unwrap()).unwrap();
    }

    fn status(&self) -> Option<Value> {
        let output = eyefleet(&self.data).args(["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    fn show(&self, image: &str) -> Value {
        let output = run(eyefleet(&self.data).args(["show", image, "--json"]));
        serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null)
    }

    /// Waits until the library has so many photos, all of them analyzed.
    fn wait_for_photos(&self, count: u64) -> Value {
        wait_for(&format!("{count} analyzed photos"), || {
            let status = self.status()?;
            let counts = &status["counts"];
            let all = counts["images"] == count && counts["analyzed"] == count;
            (all && counts["waiting"] == 0 && status["watch"]["state"] == "watching")
                .then_some(status)
        })
    }
}

/// Files of tests are written at once, and nobody waits for a minute of silence.
fn quick(command: &mut Command) -> &mut Command {
    command
        .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
        .env("EYEFLEET_WATCH__SETTLE_SECONDS", "0.1")
        .env("AUTO_TRAIN", "false")
}

#[test]
fn the_library_follows_its_folder() {
    let place = Place::new(4);
    let up = place.up(true);
    place.wait_for_photos(4);

    place.draw("2024/spring/new.jpg", 1);
    place.wait_for_photos(5);

    place.draw("001.jpg", 2);
    wait_for("the second look at a changed photo", || {
        let seen = place.show("001.jpg");
        (seen["revision"] == 2 && seen["stages"]["embed"]["state"] == "done").then_some(())
    });

    // A photo that moves keeps its id and is not looked at again.
    std::fs::rename(place.photos.join("2024"), place.photos.join("older")).unwrap();
    std::fs::rename(place.photos.join("002.jpg"), place.photos.join("renamed.jpg")).unwrap();
    for (image, path) in
        [("2024/spring/new.jpg", "older/spring/new.jpg"), ("002.jpg", "renamed.jpg")]
    {
        let moved = wait_for("a photo to move", || {
            let seen = place.show(image);
            (seen["path"] == path).then_some(seen)
        });
        assert_eq!(moved["revision"], 1, "it was looked at again: {moved}");
    }
    let status = place.wait_for_photos(5);
    assert_eq!(status["counts"]["failed"], 0);

    // Another photo takes the place of the one that moved away: it is another image.
    place.draw("002.jpg", 3);
    place.wait_for_photos(6);
    assert_eq!(place.show("002.jpg")["path"], "renamed.jpg");

    std::fs::remove_file(place.photos.join("000.jpg")).unwrap();
    std::fs::remove_dir_all(place.photos.join("older")).unwrap();
    place.wait_for_photos(4);
    up.stop();
}

#[test]
fn the_next_start_goes_on_where_the_last_one_was_and_reads_nothing_twice() {
    let place = Place::new(4);
    let up = place.up(true);
    let before = place.wait_for_photos(4)["watch"]["looked_at"].clone();
    up.stop();

    let opened = Opened::listen(&place.photos);
    // The folder is remembered.
    let up = place.up(false);
    wait_for("a full look", || {
        let status = place.status()?;
        (status["watch"]["state"] == "watching" && status["watch"]["looked_at"] != before)
            .then_some(())
    });
    let names = opened.names();
    assert!(names.is_empty(), "nothing had changed, and {names:?} were opened");
    up.stop();

    std::fs::remove_file(place.photos.join("000.jpg")).unwrap();
    std::fs::rename(place.photos.join("001.jpg"), place.photos.join("moved.jpg")).unwrap();
    place.draw("002.jpg", 5);
    place.draw("new.jpg", 6);
    // Other facts, same content: looked at, found equal, not analyzed again.
    std::fs::File::options()
        .write(true)
        .open(place.photos.join("003.jpg"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let up = place.up(true);
    wait_for("what happened meanwhile", || {
        let seen = place.show("002.jpg");
        (seen["revision"] == 2 && seen["stages"]["embed"]["state"] == "done").then_some(())
    });
    place.wait_for_photos(4);
    let moved = place.show("001.jpg");
    assert_eq!((&moved["path"], &moved["revision"]), (&"moved.jpg".into(), &1.into()));
    assert_eq!(place.show("003.jpg")["revision"], 1);
    up.stop();
}

#[test]
fn nothing_is_removed_while_the_folder_is_away_or_empty() {
    let place = Place::new(3);
    let up = place.up(true);
    place.wait_for_photos(3);
    up.stop();
    let aside = place.photos.with_extension("aside");
    std::fs::rename(&place.photos, &aside).unwrap();
    for empty in [false, true] {
        if empty {
            // The place where a drive is mounted stays behind when the drive is gone.
            std::fs::create_dir(&place.photos).unwrap();
        }
        let up = place.up(false);
        let status = wait_for("the folder to be held", || {
            place.status().filter(|status| status["watch"]["state"] == "held")
        });
        let message = status["watch"]["message"].as_str().unwrap();
        assert!(message.contains("mounted") && message.contains("photos"), "{message}");
        assert_eq!(status["counts"]["analyzed"], 3);
        up.stop();
    }
    std::fs::remove_dir(&place.photos).unwrap();
    std::fs::rename(&aside, &place.photos).unwrap();
    let up = place.up(false);
    place.wait_for_photos(3);
    up.stop();
}

#[test]
fn a_photo_keeps_its_id_wherever_its_content_goes() {
    let place = Place::new(6);
    let up = place.up(true);
    place.wait_for_photos(6);
    let at = |name: &str| place.photos.join(name);
    let rename = |from: &str, to: &str| std::fs::rename(at(from), at(to)).unwrap();
    // Renumbered from the end, and the first overwritten by a later one.
    rename("005.jpg", "006.jpg");
    rename("004.jpg", "005.jpg");
    rename("003.jpg", "004.jpg");
    rename("001.jpg", "000.jpg");
    // Copied to its new place, then deleted at the old one.
    std::fs::copy(at("002.jpg"), at("copy.jpg")).unwrap();
    wait_for("the copy to be known", || place.show("copy.jpg")["path"].as_str().map(str::to_owned));
    std::fs::remove_file(at("002.jpg")).unwrap();
    let expected = [
        ("005.jpg", "006.jpg"),
        ("004.jpg", "005.jpg"),
        ("003.jpg", "004.jpg"),
        ("001.jpg", "000.jpg"),
        ("002.jpg", "copy.jpg"),
    ];
    for (image, path) in expected {
        let seen = wait_for(&format!("{image} at {path}"), || {
            let seen = place.show(image);
            (seen["path"] == path).then_some(seen)
        });
        assert_eq!(seen["revision"], 1, "{seen}");
    }
    let status = place.wait_for_photos(5);
    assert_eq!(status["counts"]["failed"], 0);
    up.stop();
}

#[test]
fn killed_processes_lose_nothing() {
    let place = Place::new(60);
    let mut up = place.up(true);
    // Each in the middle of its work, none of them asked.
    for role in ["intake-1", "analyze-1"] {
        kill(up.pid(role));
    }
    wait_for("some photos", || {
        place.status().filter(|status| status["counts"]["analyzed"].as_u64() > Some(0))
    });
    up.process.signal(Signal::KILL);
    up.process.end();
    std::fs::remove_file(place.photos.join("059.jpg")).unwrap();
    place.draw("late.jpg", 7);

    let up = place.up(true);
    kill(redis_pid(&place.data));
    let status = place.wait_for_photos(60);
    assert_eq!(status["counts"]["failed"], 0, "{status}");
    up.stop();
}

#[test]
fn a_library_learns_by_itself_when_it_is_quiet() {
    let place = Place::new(14);
    let mut command = eyefleet(&place.data);
    command.args(["up", "--photos"]).arg(&place.photos);
    quick(&mut command).env("AUTO_TRAIN", "true").env("EYEFLEET_TRAIN__DELAY_SECONDS", "1");
    let up = Up { process: Running::start(&mut command), data: place.data.clone() };
    up.wait_until_ready();
    let status = wait_for("the first generation", || {
        place.status().filter(|status| status["generation"] == 1)
    });
    assert_eq!(status["counts"]["analyzed"], 14);
    up.stop();
}

#[test]
fn real_photographs_are_analyzed_without_a_failure() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/images");
    let Ok(entries) = std::fs::read_dir(&real) else {
        eprintln!("SKIPPED: the real photographs are not here ({})", real.display());
        return;
    };
    let count = entries.count() as u64;
    let mut place = Place::new(1);
    place.photos = real;
    let up = place.up(true);
    let status = place.wait_for_photos(count);
    assert_eq!(status["counts"]["failed"], 0, "{status}");
    assert_eq!(status["watch"]["not_taken"], 0, "{status}");
    up.stop();
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

fn redis_pid(data: &Path) -> i32 {
    std::fs::read_to_string(data.join("redis/lock")).unwrap().trim().parse().unwrap()
}

/// The files of a folder that somebody opens.
struct Opened {
    inotify: std::os::fd::OwnedFd,
}

impl Opened {
    fn listen(folder: &Path) -> Self {
        use rustix::fs::inotify;
        let inotify =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&inotify, folder, inotify::WatchFlags::OPEN).unwrap();
        Self { inotify }
    }

    fn names(&self) -> Vec<String> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1 << 14];
        let mut reader = rustix::fs::inotify::Reader::new(&self.inotify, &mut buffer);
        let mut names = Vec::new();
        while let Ok(event) = reader.next() {
            // Without a name it is the folder itself.
            names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        names
    }
}

mod slow {
    use super::*;
    use crate::support::Redis;

    const FILES: u64 = 30_000;

    #[test]
    fn a_drive_that_goes_away_fails_and_removes_nothing() {
        let place = Place::new(120);
        let up = place.up(true);
        wait_for("some photos", || {
            place.status().filter(|status| status["counts"]["analyzed"].as_u64() > Some(0))
        });
        // What is left of a drive that is not mounted any more.
        let aside = place.photos.with_extension("aside");
        std::fs::rename(&place.photos, &aside).unwrap();
        std::fs::create_dir(&place.photos).unwrap();
        // Something happens there: now it is looked at.
        std::fs::write(aside.join("000.jpg"), "changed").unwrap();
        wait_for("waiting photos that were asked for in vain", || {
            let status = place.status()?;
            (status["queues"]["analyze"]["scheduled"].as_u64()? > 0).then_some(())
        });
        let before = place.status().unwrap();
        assert_eq!(
            (&before["counts"]["failed"], &before["counts"]["images"]),
            (&0.into(), &120.into())
        );
        up.stop();

        std::fs::remove_dir(&place.photos).unwrap();
        place_photo_again(&aside);
        std::fs::rename(&aside, &place.photos).unwrap();
        let up = place.up(false);
        let status = place.wait_for_photos(120);
        assert_eq!(status["counts"]["failed"], 0, "{status}");
        up.stop();
    }

    fn place_photo_again(folder: &Path) {
        let drawing = drawn::draw(Generator::Second, 11, 0);
        std::fs::write(folder.join("000.jpg"), drawing.to_jpeg(88).unwrap()).unwrap();
    }

    /// A tree of tens of thousands of files is recorded as it is found, and looked at again
    /// without reading any.
    #[test]
    fn tens_of_thousands_of_files() {
        let place = Place::new(0);
        let picture = drawn::draw(Generator::Second, 23, 0).to_jpeg(40).unwrap();
        for index in 0..FILES {
            let folder = place.photos.join(format!("{:03}", index % 300));
            std::fs::create_dir_all(&folder).unwrap();
            let mut content = picture.clone();
            // Every file is another one, after the end of its picture.
            content.extend(index.to_le_bytes());
            std::fs::write(folder.join(format!("{index}.jpg")), content).unwrap();
        }
        std::fs::create_dir_all(&place.data).unwrap();
        let redis = Redis::start();
        let attach = |command: &mut Command| {
            command.env("REDIS_URL", redis.url());
        };
        let mut add = eyefleet(&place.data);
        attach(&mut add);
        assert!(
            run(add.args(["library", "add", "main", "--photos"]).arg(&place.photos))
                .status
                .success()
        );
        let mut looked_at = Value::Null;
        for look in ["first", "second"] {
            let mut command = eyefleet(&place.data);
            attach(&mut command);
            let started = std::time::Instant::now();
            let mut intake = Running::start(quick(command.args(["run", "intake"])));
            let mut partly = 0;
            let status = wait_for("a full look", || {
                let mut command = eyefleet(&place.data);
                attach(&mut command);
                let output = command.args(["status", "--json"]).output().unwrap();
                let status: Value = serde_json::from_slice(&output.stdout).ok()?;
                if status["watch"]["state"] == "scanning" {
                    let images = status["counts"]["images"].as_u64().unwrap_or(0);
                    // The last of such looks may see all of them.
                    partly = if (1..FILES).contains(&images) { images } else { partly };
                }
                let done = status["watch"]["state"] == "watching"
                    && status["watch"]["looked_at"] != looked_at;
                done.then_some(status)
            });
            println!("{look} look at {FILES} files: {:.1} s", started.elapsed().as_secs_f64());
            assert_eq!(status["counts"]["images"], FILES);
            assert_eq!(status["watch"]["files"], FILES);
            assert_eq!(status["watch"]["new"], if look == "first" { FILES } else { 0 });
            if look == "first" {
                assert!(partly > 0, "it was recorded all at once");
            }
            looked_at = status["watch"]["looked_at"].clone();
            intake.signal(Signal::TERM);
            assert_eq!(intake.end(), Some(0));
        }
    }
}
