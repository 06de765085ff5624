//! What is shipped beside the program says nothing that the program does not know: the Compose file
//! sets settings that exist, the metrics page and `make help` are complete, dashboards and alerts
//! (in `queries`) ask for metrics that exist.
//!
//! The files are read as they are in the tree. What only Docker, Prometheus or Grafana themselves
//! can tell is not claimed here.

mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eyefleet::config::Config;
use eyefleet::telemetry::metrics::{ALL, Kind};
use serde_json::Value;

/// The roles of the fleet, each of which is a service.
const ROLES: [&str; 5] = ["analyze", "export", "train", "intake", "serve"];

// --- the metrics page ------------------------------------------------------------------------------

#[test]
fn the_metrics_page_lists_every_metric() {
    let mut table = String::from("| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        writeln!(table, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help).unwrap();
    }
    let page = read("docs/metrics.md");
    let start = page.find("| metric |").expect("the page has a table");
    let length = page[start..].find("\n\n").map_or(page.len() - start, |end| end + 1);
    assert!(
        page[start..start + length] == table,
        "docs/metrics.md is not what src/telemetry/metrics.rs declares; its table must be:\n\n{table}"
    );
}

// --- Docker ----------------------------------------------------------------------------------------

#[test]
fn every_role_is_a_service_of_one_image() {
    let compose = yaml("docker-compose.yml");
    for role in ROLES {
        let service = &compose["services"][role];
        assert_eq!(service["command"], serde_json::json!(["run", role]));
        assert_eq!(service["image"], compose["services"]["serve"]["image"], "{role}");
        assert_eq!(service["read_only"], true, "{role}");
        assert!(list(&service["volumes"]).contains(&"data:/data".to_owned()), "{role}");
        assert!(service.get("container_name").is_none(), "{role} could not be scaled");
    }
    let published = ROLES.iter().filter(|role| compose["services"][**role].get("ports").is_some());
    assert_eq!(published.collect::<Vec<_>>(), [&"serve"], "a fixed port forbids replicas");
}

#[test]
fn services_are_published_on_this_machine_only_and_have_their_volumes() {
    let compose = yaml("docker-compose.yml");
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in compose["services"].as_object().unwrap() {
        for port in list(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        for volume in list(&service["volumes"]) {
            let (from, _) = with_defaults(&volume).split_once(':').map(own_both).unwrap();
            let there = if from.starts_with("./") {
                from == "./photos" || root().join(&from).is_dir()
            } else {
                volumes.contains_key(&from)
            };
            assert!(there, "{name} mounts {from}, which is neither a volume nor a folder here");
        }
    }
}

#[test]
fn the_queue_in_compose_forgets_nothing() {
    let compose = yaml("docker-compose.yml");
    let words = list(&compose["services"]["redis"]["command"]);
    let option = |name: &str| words.iter().position(|word| word == name).map(|at| &*words[at + 1]);
    assert_eq!(option("--appendonly"), Some("yes"));
    assert_eq!(option("--maxmemory-policy"), Some("noeviction"));
    assert_eq!(list(&compose["services"]["redis"]["volumes"]), ["redis:/data"]);
}

#[test]
fn every_setting_in_compose_and_the_image_is_accepted() {
    let compose = yaml("docker-compose.yml");
    let of_image = image_environment();
    for role in ROLES {
        let service = &compose["services"][role];
        let mut environment = of_image.clone();
        for (name, value) in service["environment"].as_object().unwrap() {
            let value = value.as_str().unwrap_or_else(|| panic!("{role}: {name} is not a text"));
            environment.insert(name.clone(), with_defaults(value));
        }
        let config = Config::from_sources(None, environment)
            .unwrap_or_else(|error| panic!("{role}: {error}"));
        assert_eq!(config.data, Path::new("/data"));
        assert!(config.redis_url.is_some(), "{role} would look for a private Redis");
        assert!(config.database_url.expose().starts_with("postgres://"), "{role}");

        let address = if role == "serve" { &config.serve_listen } else { &config.health_listen };
        let (host, port) = address.rsplit_once(':').unwrap();
        assert_eq!(host, "0.0.0.0", "{role}: nobody could reach it");
        assert_eq!(list(&service["healthcheck"]["test"]), ["CMD", "eyefleet-health", port]);
        assert!(scraped(role).contains(&port.to_owned()), "Prometheus does not scrape {role}");

        let patience = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
        let patience: u64 = patience.parse().unwrap();
        assert!(patience > config.grace.as_secs() + 10, "{role} would be killed while it stops");
    }
}

/// The variables that the Dockerfile's last stage sets.
fn image_environment() -> BTreeMap<String, String> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let set: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(own_both)
        .collect();
    assert!(
        set.contains_key("EYEFLEET_PATHS__PACKS"),
        "the image does not say where its packs are"
    );
    set
}

/// The ports at which Prometheus asks a role's replicas.
fn scraped(role: &str) -> Vec<String> {
    let settings = yaml("grafana/prometheus/prometheus.yml");
    let found = settings["scrape_configs"][0]["dns_sd_configs"].as_array().expect("a list");
    let names_it = |one: &&Value| list(&one["names"]).iter().any(|name| name == role);
    found.iter().filter(names_it).map(|one| one["port"].to_string()).collect()
}

/// `${NAME:-default}` as Compose reads it where NAME is not set.
fn with_defaults(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').expect("a variable ends with a brace");
        let (_, default) = inside.split_once(":-").expect("every variable has a default");
        out.push_str(before);
        out.push_str(default);
        rest = after;
    }
    out + rest
}

// --- make ------------------------------------------------------------------------------------------

#[test]
fn make_help_lists_every_recipe() {
    let makefile = read("Makefile");
    let recipes: BTreeSet<_> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, rest)| !rest.starts_with('=') && !name.contains(' '))
        .map(|(name, _)| name)
        .collect();
    for needed in ["demo", "test", "check", "test-slow", "bench", "up", "setup", "help"] {
        assert!(recipes.contains(needed), "there is no recipe {needed}");
    }
    let help = std::process::Command::new("make")
        .args(["--no-print-directory", "--directory"])
        .arg(root())
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let listed: BTreeSet<_> =
        help.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(listed, recipes);
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    assert_eq!(phony.split_whitespace().collect::<BTreeSet<_>>(), recipes);
}

// --- reading files ---------------------------------------------------------------------------------

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file as the same tree that JSON gives, with anchors and merges resolved.
fn yaml(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    serde_saphyr::from_str(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder, as paths from the root, in order.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("the folder is shipped") {
            let entry = entry.expect("the folder can be read");
            let path = folder.join(entry.file_name());
            if root().join(&path).is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The texts of a list; none where there is no list.
fn list(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().expect("a list of texts").to_owned()).collect()
}

fn own_both((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}
