//! Writes the few shapes of pickle (protocol 2) that `face_clusters.pkl` needs.
//!
//! Tools made for the seed system read this name. The fleet itself never loads a pickle: loading
//! one runs whatever its writer wanted.

use crate::generation::Clusters;

/// What can be written.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
    List(Vec<Value<'a>>),
    Dict(Vec<(&'a str, Value<'a>)>),
}

/// `{"Person 1": {"image_count": 45, "face_count": 51, "images": ["a", ...]}, ...}`.
pub(super) fn of_clusters(clusters: &Clusters) -> Vec<u8> {
    let people = clusters.clusters.iter().map(|cluster| {
        let images = cluster.images.iter().map(|image| Value::Text(image.as_str()));
        let fields = vec![
            ("image_count", Value::Number(cluster.image_count as i64)),
            ("face_count", Value::Number(cluster.face_count as i64)),
            ("images", Value::List(images.collect())),
        ];
        (cluster.name.as_str(), Value::Dict(fields))
    });
    let mut bytes = vec![0x80, 2];
    put(&mut bytes, &Value::Dict(people.collect()));
    bytes.push(b'.');
    bytes
}

fn put(bytes: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => put_text(bytes, text),
        Value::Number(number) => put_number(bytes, *number),
        Value::List(values) => {
            bytes.extend(b"](");
            for value in values {
                put(bytes, value);
            }
            bytes.push(b'e');
        }
        Value::Dict(entries) => {
            bytes.extend(b"}(");
            for (key, value) in entries {
                put_text(bytes, key);
                put(bytes, value);
            }
            bytes.push(b'u');
        }
    }
}

fn put_number(bytes: &mut Vec<u8>, number: i64) {
    if let Ok(short) = i32::try_from(number) {
        bytes.push(b'J');
        bytes.extend(short.to_le_bytes());
    } else {
        // LONG1: eight bytes, two's complement.
        bytes.extend([0x8a, 8]);
        bytes.extend(number.to_le_bytes());
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::generation::Cluster;
    use crate::names::ImageId;

    #[test]
    fn python_reads_it() {
        let cluster = Cluster {
            cluster: 1,
            name: "Person 1".into(),
            image_count: 2,
            face_count: 5_000_000_000,
            images: ["a", "größe 日本"].map(|id| ImageId::new(id).unwrap()).into(),
            faces: Vec::new(),
        };
        let clusters = Clusters { clusters: vec![cluster], unclustered_faces: 0 };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("face_clusters.pkl");
        std::fs::write(&path, of_clusters(&clusters)).unwrap();
        let script =
            "import pickle,sys,json; print(json.dumps(pickle.load(open(sys.argv[1],'rb'))))";
        let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() else {
            eprintln!("SKIPPED python_reads_it: python3 is not installed");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = serde_json::json!({
            "Person 1": {
                "image_count": 2, "face_count": 5_000_000_000_i64, "images": ["a", "größe 日本"]
            }
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn nobody_is_an_empty_dict() {
        assert_eq!(of_clusters(&Clusters::default()), b"\x80\x02}(u.");
    }
}
