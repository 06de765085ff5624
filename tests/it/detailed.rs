//! Detailed descriptions by an Ollama, which a server of this test plays in every mood: the models' own
//! descriptions are there first, nothing waits for it, no photo fails because it is away, and once it is
//! back every detail arrives.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, stdout, wait_for};

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Beyond every time limit.
    Slow,
    Broken,
    Nonsense,
    /// On this photo alone: it is well otherwise.
    BreaksOnIt,
    WithoutModel,
    /// It ends the connection instead of an answer.
    HangsUp,
}

#[derive(Clone)]
struct Server {
    mood: Arc<Mutex<Mood>>,
    /// What it was asked, without the pictures, and the sizes of those.
    asked: Arc<Mutex<Vec<(Value, u32, u32)>>>,
    address: String,
    _runtime: Arc<tokio::runtime::Runtime>,
}

impl Server {
    fn start(mood: Mood) -> Self {
        let runtime = Arc::new(tokio::runtime::Runtime::new().unwrap());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self {
            mood: Arc::new(Mutex::new(mood)),
            asked: Arc::default(),
            address,
            _runtime: Arc::clone(&runtime),
        };
        let routes = Router::new()
            .route("/api/generate", post(generate))
            .route("/api/tags", get(tags))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(server.clone());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        server
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> Vec<(Value, u32, u32)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tags(State(server): State<Server>) -> Response {
    let mood = *server.mood.lock().unwrap();
    let name = if mood == Mood::WithoutModel { "other:latest" } else { "llava:latest" };
    match mood {
        Mood::Slow => std::future::pending().await,
        Mood::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::HangsUp => panic!("it hangs up"),
        _ => Json(json!({ "models": [{ "name": name }] })).into_response(),
    }
}

async fn generate(State(server): State<Server>, Json(mut question): Json<Value>) -> Response {
    let picture = question["images"][0].take();
    let bytes = STANDARD.decode(picture.as_str().unwrap()).unwrap();
    let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).unwrap();
    server.asked.lock().unwrap().push((question, picture.width(), picture.height()));
    let mood = *server.mood.lock().unwrap();
    match mood {
        Mood::Well => {
            let text = " A long text about the photo.\n It has two sentences. ";
            Json(json!({ "response": text, "done": true })).into_response()
        }
        Mood::Slow => std::future::pending().await,
        Mood::Broken | Mood::BreaksOnIt => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Nonsense => Json(json!({ "response": "\u{0}\u{0} 7 7 7" })).into_response(),
        Mood::WithoutModel => {
            let error = json!({ "error": "model 'llava' not found" });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
        Mood::HangsUp => panic!("it hangs up"),
    }
}

struct Fleet {
    folder: tempfile::TempDir,
    redis: Redis,
    ollama: String,
}

impl Fleet {
    fn new(ollama: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, redis: Redis::start(), ollama }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", database_url(&self.data().join("details.sqlite")))
            .env("OLLAMA_HOST", &self.ollama)
            .env("AUTO_TRAIN", "false")
            .env("EYEFLEET_OLLAMA__TIMEOUT_SECONDS", "1")
            .env("EYEFLEET_QUEUE__LEASE_SECONDS", "2");
        command
    }

    fn role(&self, name: &str) -> Running {
        Running::start(self.member().args(["run", name]))
    }

    fn add(&self, count: u64) {
        let folder = self.folder.path().join("photos");
        photos(&folder, count);
        let added = run(self.member().args(["add", "--wait"]).arg(folder));
        assert_eq!(added.status.code(), Some(0), "an analysis waited for Ollama");
    }

    fn status(&self) -> Option<Value> {
        let output = self.member().args(["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    fn details(&self, state: &str) -> Option<u64> {
        self.status()?["counts"]["stages"]["detail"][state].as_u64()
    }

    fn wait_for_details(&self, state: &str, wanted: u64) {
        wait_for(&format!("{wanted} details that are {state}"), || {
            (self.details(state)? == wanted).then_some(())
        });
    }

    /// Waits until the status says of Ollama what holds all of `words`.
    fn wait_until_told(&self, words: &[&str]) {
        wait_for(&format!("{words:?} in the status"), || {
            let status = self.status()?;
            let workers = status["workers"].as_array()?.clone();
            let told = |it: &Value| {
                let models = it["models"].as_str().unwrap_or_default().to_owned();
                words.iter().all(|word| models.contains(word))
            };
            workers.iter().any(told).then_some(())
        });
    }

    fn show(&self, image: &str) -> Value {
        let shown = run(self.member().args(["show", image, "--json"]));
        serde_json::from_str(&stdout(&shown)).unwrap()
    }
}

#[test]
fn details_come_after_everything_else_and_wait_out_an_ollama_that_is_away() {
    const PHOTOS: u64 = 20;
    let server = Server::start(Mood::Slow);
    let fleet = Fleet::new(server.address.clone());
    let _roles = ["analyze", "intake"].map(|name| fleet.role(name));
    fleet.add(PHOTOS);
    // The models have described it; Ollama has not even answered.
    let shown = fleet.show("added/000.jpg");
    assert!(shown["description"].is_string(), "{shown}");
    assert!(shown["stages"].get("detail").is_none(), "{shown}");
    fleet.wait_for_details("waiting", PHOTOS);
    fleet.wait_until_told(&["llava", &server.address, "away since"]);
    wait_for("a question", || (!server.asked().is_empty()).then_some(()));

    for mood in [Mood::Broken, Mood::HangsUp, Mood::WithoutModel] {
        server.set(mood);
        let told =
            if mood == Mood::WithoutModel { "without its model since" } else { "away since" };
        fleet.wait_until_told(&["llava", told]);
    }
    let doctor = run(fleet.member().args(["doctor", "--json"]));
    let doctor: Value = serde_json::from_str(&stdout(&doctor)).unwrap();
    let checks = doctor["checks"].as_array().unwrap();
    let ollama = checks.iter().find(|check| check["name"] == "ollama").unwrap();
    assert_eq!(ollama["state"], "warning", "{ollama}");
    assert!(ollama["found"].as_str().unwrap().contains("`ollama pull llava`"), "{ollama}");

    assert_eq!(fleet.details("waiting"), Some(PHOTOS), "a photo failed because Ollama was away");
    // Asked ever more seldom, and not once for each photo, let alone again and again.
    let asked = server.asked().len() as u64;
    println!("{asked} questions to an Ollama that was away");
    assert!(asked < PHOTOS / 2, "{asked}");
    server.set(Mood::Well);
    fleet.wait_for_details("done", PHOTOS);
    let shown = fleet.show("added/000.jpg");
    let text = "A long text about the photo. It has two sentences.";
    assert_eq!(shown["detailed_description"], text);
    assert_eq!(shown["stages"]["detail"]["state"], "done");
    let status = fleet.status().unwrap();
    assert_eq!(
        status["counts"]["stages"]["detail"],
        json!({ "waiting": 0, "done": PHOTOS, "failed": 0 })
    );
    let asked = server.asked();
    let (question, width, height) = asked.last().unwrap();
    assert_eq!((&question["model"], &question["stream"]), (&json!("llava"), &json!(false)));
    assert!(*width <= 1024 && *height <= 1024, "{width} x {height}");
    fleet.wait_until_told(&["llava"]);
    let text = run(fleet.member().arg("status"));
    assert!(
        stdout(&text).contains("details     20 done, 0 waiting, 0 failed"),
        "{}",
        stdout(&text)
    );
}

#[test]
fn an_answer_that_is_none_fails_for_that_photo_alone() {
    let server = Server::start(Mood::Nonsense);
    let fleet = Fleet::new(format!("http://{}", server.address));
    let _roles = ["analyze", "intake"].map(|name| fleet.role(name));
    fleet.add(1);
    fleet.wait_for_details("failed", 1);
    assert!(server.asked().len() > 1, "it was asked once only");
    let counts = fleet.status().unwrap()["counts"].clone();
    assert_eq!((&counts["analyzed"], &counts["failed"]), (&json!(1), &json!(0)));
    let shown = fleet.show("added/000.jpg");
    let reason = shown["stages"]["detail"]["reason"].as_str().unwrap();
    assert!(reason.contains("its answer holds no description"), "{reason}");
    server.set(Mood::BreaksOnIt);
    photos(&fleet.folder.path().join("photos"), 2);
    fleet.add(2);
    fleet.wait_for_details("failed", 2);
    server.set(Mood::Well);
    photos(&fleet.folder.path().join("photos"), 3);
    fleet.add(3);
    fleet.wait_for_details("done", 1);
    assert_eq!(fleet.details("failed"), Some(2));
    // Whoever wants them tried again says so.
    let again = |words: &[&str]| {
        let said = run(fleet.member().args(["reprocess", "--only-failed"]).args(words));
        assert!(said.status.success(), "{}", stdout(&said));
        stdout(&said)
    };
    let said = again(&["--stage", "detail", "--dry-run"]);
    assert!(said.contains("2 failed details would be asked for again"), "{said}");
    assert_eq!(fleet.details("failed"), Some(2));
    assert!(again(&["--since", "2999-01-01", "--json"]).contains(r#""details":0"#));
    assert!(again(&["--json"]).contains(r#""details":2"#));
    fleet.wait_for_details("done", 3);
    assert_eq!(fleet.details("failed"), Some(0));
}

#[test]
fn without_an_ollama_nothing_speaks_of_details() {
    let fleet = Fleet::new(String::new());
    let _roles = ["analyze", "intake"].map(|name| fleet.role(name));
    fleet.add(1);
    let status = fleet.status().unwrap();
    assert!(status["counts"]["stages"].get("detail").is_none(), "{status}");
    assert!(status["queues"].get("detail").is_none(), "{status}");
}

/// An Ollama whose answer never ends is cut off.
#[tokio::test]
async fn a_client_has_its_own_limit() {
    let server = tokio::task::spawn_blocking(|| Server::start(Mood::Slow)).await.unwrap();
    let address = eyefleet::ollama::OllamaAddress::parse(&server.address).unwrap();
    let limit = Duration::from_millis(200);
    let client = eyefleet::ollama::Ollama::new(address, "llava", limit);
    let drawing = drawn::draw(drawn::Generator::Second, 11, 0).to_jpeg(80).unwrap();
    let error = client.describe(&drawing).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 0.2 s"), "{error}");
    assert_eq!(error.fate(), eyefleet::fate::Fate::Away);
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
