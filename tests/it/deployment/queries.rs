//! Dashboards and alerts ask for metrics and labels that exist, and ask the right process.
//!
//! Queries are read by hand: names, braces, `by (...)`. Whether Prometheus understands a whole query
//! is what `make check` asks promtool.

use std::collections::BTreeSet;

use eyefleet::telemetry::metrics::{ALL, Kind, Metric};
use serde_json::Value;

use super::{files_below, json, yaml};

/// Labels that Prometheus adds to every series of ours when it scrapes (grafana/prometheus).
const ADDED_LABELS: [&str; 2] = ["instance", "service"];
/// How a query keeps to the counts of the process that leads now.
const OF_THE_LEADER: &str = " and on (instance) eyefleet_leader == 1";

#[test]
fn dashboards_and_alerts_ask_for_metrics_that_exist() {
    let mut problems = Vec::new();
    for query in all_queries() {
        for selector in selectors(&query.text) {
            match series(&selector.name) {
                Ok(metric) => {
                    let unknown = selector.labels.iter().filter(|label| !has_label(metric, label));
                    problems.extend(unknown.map(|label| {
                        format!("{}: {} has no label {label}", query.place, metric.name)
                    }));
                }
                Err(why) => problems.push(format!("{}: {why}", query.place)),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn dashboards_and_alerts_group_by_labels_that_exist() {
    for query in all_queries() {
        let selectors = selectors(&query.text.replace(OF_THE_LEADER, ""));
        let metrics: Vec<_> = selectors.iter().filter_map(|one| series(&one.name).ok()).collect();
        if metrics.is_empty() {
            continue; // `up` and its kin are Prometheus's own
        }
        let grouped = grouped_by(&query.text);
        for label in &grouped {
            let known = metrics.iter().all(|metric| has_label(metric, label));
            assert!(known, "{}: groups by {label}, which a metric in it has not", query.place);
        }
        for label in shown_in(&query.legend) {
            let kept = grouped.is_empty() || grouped.contains(&label);
            let known = metrics.iter().any(|metric| has_label(metric, &label));
            assert!(kept && known, "{}: the legend shows {label}, which is gone", query.place);
        }
    }
}

/// Only the leader counts queues and catalogue, and a former leader keeps showing its last counts:
/// without the narrowing a dashboard would show yesterday's queue for ever.
#[test]
fn what_the_leader_counts_is_asked_of_the_leader() {
    let mut asked = 0;
    for query in all_queries() {
        let narrowed = query.text.matches(OF_THE_LEADER).count();
        let counts = selectors(&query.text).into_iter().filter(|one| {
            ["eyefleet_queue_", "eyefleet_catalog_", "eyefleet_drift"]
                .iter()
                .any(|start| one.name.starts_with(start))
        });
        let counts = counts.count();
        if !query.place.contains("rules_test") {
            assert_eq!(narrowed, counts, "{}: add{OF_THE_LEADER}", query.place);
            asked += counts;
        }
    }
    assert!(asked > 5);
}

#[test]
fn panels_explain_themselves_and_ask_the_provisioned_source() {
    let overview = json("grafana/dashboards/overview.json");
    let panels = overview["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "two panels share the id {}",
            panel["id"]
        );
        if panel["type"] == "row" {
            continue;
        }
        let title = panel["title"].as_str().unwrap();
        assert!(
            !panel["description"].as_str().unwrap().is_empty(),
            "{title} says nothing of itself"
        );
        assert_eq!(panel["datasource"]["uid"], "prometheus", "{title}");
    }
    let provisioned = yaml("grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(provisioned["datasources"][0]["uid"], "prometheus");
}

#[test]
fn the_reader_of_queries_reads_what_it_must() {
    let query =
        r#"sum by (le, job) (rate(eyefleet_job_run_seconds_bucket{job=~"a{b}|c", x!="y"}[5m]))"#;
    let found = selectors(query);
    assert_eq!(found[0].name, "eyefleet_job_run_seconds_bucket");
    assert_eq!(found[0].labels, ["job", "x"]);
    assert_eq!(grouped_by(query), ["le", "job"]);
    assert!(
        series("eyefleet_job_run_seconds").is_err(),
        "a histogram has no series of its own name"
    );
    assert!(series("eyefleet_jobs_total_sum").is_err());
    assert!(series("eyefleet_nothing").is_err());
    assert_eq!(shown_in("{{job}} p95 {{ outcome }}"), ["job", "outcome"]);
    let variable = selectors("label_values(eyefleet_jobs_total, colour)");
    assert_eq!(variable[0].labels, ["colour"]);
}

/// A question to Prometheus, and where it stands.
struct Query {
    place: String,
    text: String,
    legend: String,
}

/// A metric in a query with the labels that it is narrowed by.
struct Selector {
    name: String,
    labels: Vec<String>,
}

fn all_queries() -> Vec<Query> {
    let mut found = Vec::new();
    for path in files_below("grafana") {
        let content = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => json(&path),
            Some("yml") => yaml(&path),
            _ => continue,
        };
        collect(&content, &path.display().to_string(), &mut found);
    }
    assert!(found.len() > 40, "only {} queries were found: did a key change?", found.len());
    found
}

/// Queries stand under `expr` (panels, rules), `definition` (variables of a dashboard), `series`
/// (tests of the rules).
fn collect(value: &Value, place: &str, found: &mut Vec<Query>) {
    match value {
        Value::Object(map) => {
            let title = map.get("title").or(map.get("alert")).and_then(Value::as_str);
            let place = title.map_or(place.to_owned(), |title| format!("{place}: {title}"));
            for key in ["expr", "definition", "series"] {
                if let Some(Value::String(text)) = map.get(key) {
                    let legend = map.get("legendFormat").and_then(Value::as_str).unwrap_or("");
                    found.push(Query {
                        place: place.clone(),
                        text: text.clone(),
                        legend: legend.to_owned(),
                    });
                }
            }
            map.values().for_each(|below| collect(below, &place, found));
        }
        Value::Array(list) => list.iter().for_each(|below| collect(below, place, found)),
        _ => {}
    }
}

/// The metric that a series belongs to; a histogram has three series and none of its own name.
fn series(name: &str) -> Result<&'static Metric, String> {
    let named = |wanted: &str| ALL.iter().find(|metric| metric.name == wanted);
    if let Some(metric) = named(name) {
        return match metric.kind {
            Kind::Histogram => {
                Err(format!("{name} is a histogram: ask for _bucket, _sum or _count"))
            }
            Kind::Counter | Kind::Gauge => Ok(metric),
        };
    }
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let metric = stem.and_then(named).filter(|metric| metric.kind == Kind::Histogram);
    metric.ok_or(format!("there is no metric {name}"))
}

fn has_label(metric: &Metric, label: &str) -> bool {
    let of_histograms = label == "le" && metric.kind == Kind::Histogram;
    of_histograms || metric.labels.contains(&label) || ADDED_LABELS.contains(&label)
}

/// Every metric of ours in a query, with the labels in its braces; Grafana's
/// `label_values(metric, label)` counts as narrowing by that label.
fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find("eyefleet_") {
        let (name, after) = word(&rest[at..]);
        let after = after.trim_start();
        let mut labels = Vec::new();
        rest = after;
        if let Some(inside) = after.strip_prefix('{') {
            (labels, rest) = labels_in_braces(inside);
        } else if query.starts_with("label_values(") {
            labels
                .extend(after.strip_prefix(',').map(|label| word(label.trim_start()).0.to_owned()));
        }
        found.push(Selector { name: name.to_owned(), labels });
    }
    found
}

fn labels_in_braces(inside: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    let mut rest = inside.trim_start();
    while !rest.starts_with('}') {
        let (label, after) = word(rest);
        assert!(!label.is_empty(), "not a label: {rest}");
        labels.push(label.to_owned());
        let (_, text) = after.split_once('"').expect("a label is compared with a text in quotes");
        let (_, after) = text.split_once('"').expect("the text is closed; none here holds a quote");
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    (labels, &rest[1..])
}

/// The labels of every `by (...)`.
fn grouped_by(query: &str) -> Vec<String> {
    let lists = query.split(" by (").skip(1).filter_map(|after| after.split_once(')'));
    lists.flat_map(|(list, _)| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// The labels that a legend shows: `{{label}}`.
fn shown_in(legend: &str) -> Vec<String> {
    let shown = legend.split("{{").skip(1).filter_map(|after| after.split_once("}}"));
    shown.map(|(label, _)| label.trim().to_owned()).collect()
}

/// The letters, digits and underscores at the start, and what follows.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}
