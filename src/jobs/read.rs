//! A job as it lies in a queue, read back: by the worker that runs it, and by whoever asks whether a
//! dead letter could run again.
//!
//! What must stay true: the message names neither the job nor what it holds. The dead letter knows
//! both, and a thousand letters that died of the same are one line in a list by cause.

use super::{Job, JobError};
use crate::fate::Fate;

/// The job of this kind and with this payload, if it is one of `J`.
///
/// # Errors
/// [`Fate::Poison`] with what is wrong; the parser's own words are the cause behind it.
pub fn read_job<J: Job>(kind: &str, payload: &[u8]) -> Result<J, JobError> {
    let poison = |why: String| JobError::new(Fate::Poison, why);
    if kind.is_empty() {
        return Err(poison("its envelope in redis is damaged and names no kind of job".to_owned()));
    }
    if kind != J::NAME {
        return Err(poison(format!("a job of kind {kind:?} lies in the queue of {:?}", J::NAME)));
    }
    serde_json::from_slice(payload).map_err(|error| {
        let told = error.to_string();
        // Where it is depends on how long the names before it are.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let why = told.strip_suffix(&place).unwrap_or(&told);
        let why = format!("the payload of {} does not decode: {why}", J::NAME);
        JobError { chain: vec![told], ..poison(why) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::AnalyzeImage;

    fn why(kind: &str, payload: &str) -> String {
        read_job::<AnalyzeImage>(kind, payload.as_bytes()).unwrap_err().message
    }

    #[test]
    fn a_job_reads_back() {
        let payload = r#"{"library":"main","image":"4711","path":"a.jpg","revision":3}"#;
        let job: AnalyzeImage = read_job("analyze-image", payload.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), payload);
    }

    #[test]
    fn what_is_wrong_reads_the_same_for_every_job() {
        let cut = |image: &str| format!(r#"{{"library":"main","image":"{image}""#);
        assert_eq!(why("analyze-image", &cut("1")), why("analyze-image", &cut("4711")));
        let whole = |image: &str| format!("{}}}", cut(image));
        let missing = why("analyze-image", &whole("4711"));
        assert_eq!(missing, why("analyze-image", &whole("1")));
        assert_eq!(missing, "the payload of analyze-image does not decode: missing field `path`");
        let error = read_job::<AnalyzeImage>("analyze-image", whole("4711").as_bytes());
        assert_eq!(error.unwrap_err().chain, ["missing field `path` at line 1 column 33"]);
    }

    #[test]
    fn a_job_of_another_kind_is_told_from_a_damaged_one() {
        assert!(why("", "{}").contains("envelope"), "{}", why("", "{}"));
        let other = why("train-generation", "{}");
        assert!(other.contains("\"train-generation\"") && other.contains("\"analyze-image\""));
    }
}
