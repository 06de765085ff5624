//! What the types of a manifest cannot say: values that make sense, and roles that fit together.
//!
//! After `problems` came back empty the rest of the room may rely on it: every role has its file,
//! both graphs have one input and one output of the sizes that preprocessing and tokenizer give.

use super::manifest::{Crop, Dtype, FileRole, Manifest, ResizeMode, TensorSpec};

impl Manifest {
    /// Everything that is wrong with the values, for a person to read; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        let id_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let id_is_plain = !self.id.is_empty() && self.id.bytes().all(id_byte);
        demand(id_is_plain, "id must be small letters, digits and dashes");
        demand(!self.version.is_empty(), "version is empty");

        let preprocess = &self.preprocess;
        demand(preprocess.exif_orient, "preprocess.exif_orient must be true");
        demand(preprocess.antialias, "preprocess.antialias must be true");
        demand((1..=2048).contains(&preprocess.size), "preprocess.size must be 1 to 2048");
        let factors = [preprocess.scale, preprocess.std[0], preprocess.std[1], preprocess.std[2]];
        let usable = |factor: &f64| factor.is_finite() && *factor != 0.0;
        demand(factors.iter().all(usable), "preprocess.scale and .std must be finite and not 0");
        demand(
            preprocess.mean.iter().all(|mean| mean.is_finite()),
            "preprocess.mean is not finite",
        );
        let square = preprocess.resize == ResizeMode::Squash || preprocess.crop == Crop::Center;
        demand(square, "preprocess.crop must be center when resize keeps the proportions");

        let tokenizer = &self.tokenizer;
        demand((1..=1024).contains(&tokenizer.context), "tokenizer.context must be 1 to 1024");
        let filled = tokenizer.pad_to == tokenizer.context;
        demand(filled, "tokenizer.pad_to must equal tokenizer.context");

        let embedding = &self.postprocess.embedding;
        demand((1..=8192).contains(&embedding.dim), "postprocess.embedding.dim must be 1 to 8192");
        demand(embedding.normalize, "postprocess.embedding.normalize must be true");
        let scale_is_usable = embedding.logit_scale.is_finite() && embedding.logit_scale > 0.0;
        demand(scale_is_usable, "postprocess.embedding.logit_scale must be above 0");
        let floor_is_cosine = (-1.0..=1.0).contains(&embedding.search_floor);
        demand(floor_is_cosine, "postprocess.embedding.search_floor must be -1 to 1");

        demand(self.resources.max_batch >= 1, "resources.max_batch must be at least 1");
        let expected = &self.self_test.expected;
        let comparable = !expected.is_empty() && expected.len() <= embedding.dim;
        demand(comparable, "self_test.expected must have 1 to dim values");
        let tolerance_is_usable = self.self_test.tolerance > 0.0 && self.self_test.tolerance <= 0.1;
        demand(tolerance_is_usable, "self_test.tolerance must be above 0 and at most 0.1");

        let size = i64::from(preprocess.size);
        let image = [-1, 3, size, size];
        let text = [-1, tokenizer.pad_to as i64];
        let vector = [-1, embedding.dim as i64];
        for (role, dtype, input) in [
            (FileRole::ImageEncoder, Dtype::F32, &image[..]),
            (FileRole::TextEncoder, Dtype::I64, &text[..]),
        ] {
            if let Some(problem) = self.graph_problem(role, dtype, input, &vector) {
                problems.push(problem);
            }
        }
        let has_file = |role: FileRole, path: &str| {
            self.files.iter().any(|file| file.role == role && file.path == path)
        };
        for (role, path) in [
            (FileRole::Tokenizer, &self.tokenizer.file),
            (FileRole::Vocabulary, &self.postprocess.tags.vocabulary),
        ] {
            if !has_file(role, path) {
                problems.push(format!("files has no {} at {path:?}", role.as_str()));
            }
        }
        for (place, file) in self.files.iter().enumerate() {
            let same_role = self.files[..place].iter().any(|other| other.role == file.role);
            if same_role {
                problems.push(format!("files has more than one {}", file.role.as_str()));
            }
        }
        problems
    }

    /// Whether the graph of `role` takes `input` and gives `output`, first dimension open or 1.
    fn graph_problem(
        &self,
        role: FileRole,
        dtype: Dtype,
        input: &[i64],
        output: &[i64],
    ) -> Option<String> {
        let name = role.as_str();
        let Some(graph) = self.graph(role) else { return Some(format!("graphs has no {name}")) };
        let listed = self.files.iter().any(|file| file.role == role && file.path == graph.file);
        if !listed {
            return Some(format!("files has no {name} at {:?}", graph.file));
        }
        let ([given], [answered]) = (&graph.inputs[..], &graph.outputs[..]) else {
            return Some(format!("the {name} must have one input and one output"));
        };
        let fits = |spec: &TensorSpec, dtype: Dtype, shape: &[i64]| {
            let batch_fits = matches!(spec.shape.first(), Some(-1 | 1));
            spec.dtype == dtype && batch_fits && spec.shape[1..] == shape[1..]
        };
        if !fits(given, dtype, input) {
            return Some(format!("the {name}'s input must be {dtype:?} {input:?}"));
        }
        if !fits(answered, Dtype::F32, output) {
            return Some(format!("the {name}'s output must be F32 {output:?}"));
        }
        None
    }
}
