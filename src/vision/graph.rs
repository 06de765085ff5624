//! One ONNX session, opened from a verified file and compared with its manifest.
//!
//! A graph whose inputs or outputs are not those of the manifest is refused: fed the wrong way it
//! would answer with numbers all the same. Rows go in, vectors come out; batching and threads are
//! `model`'s business.

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::pack::manifest::{Dtype, GraphSpec, TensorSpec};
use super::runtime::Runtime;

/// A session with one input and one output, both batches of rows.
pub(super) struct Graph {
    session: Session,
    input: TensorSpec,
    output: TensorSpec,
}

/// Why a graph is not used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// ONNX Runtime does not take the file.
    #[error("{} cannot be loaded: {cause}", path.display())]
    NotLoadable {
        /// The model's file.
        path: PathBuf,
        /// What ONNX Runtime said.
        cause: String,
    },
    /// The graph is not the one that the manifest describes.
    #[error(
        "{} has the {side} [{}], its manifest says [{}]",
        path.display(), found.join(", "), expected.join(", ")
    )]
    Mismatch {
        /// The model's file.
        path: PathBuf,
        /// `inputs` or `outputs`.
        side: &'static str,
        /// Those of the graph.
        found: Vec<String>,
        /// Those of the manifest.
        expected: Vec<String>,
    },
}

impl Graph {
    /// Opens the model at `path` with `threads` threads inside one run.
    pub(super) fn open(
        runtime: &Runtime,
        path: &Path,
        spec: &GraphSpec,
        threads: usize,
    ) -> Result<Self, GraphError> {
        let session = open_session(runtime, path, threads.max(1))
            .map_err(|cause| GraphError::NotLoadable { path: path.to_path_buf(), cause })?;
        compare(path, "inputs", session.inputs(), &spec.inputs)?;
        compare(path, "outputs", session.outputs(), &spec.outputs)?;
        let ([input], [output]) = (&spec.inputs[..], &spec.outputs[..]) else {
            let cause = "only graphs with one input and one output are run".to_owned();
            return Err(GraphError::NotLoadable { path: path.to_path_buf(), cause });
        };
        Ok(Self { session, input: input.clone(), output: output.clone() })
    }

    /// The most rows of one run: some graphs are made for exactly one.
    pub(super) fn rows_max(&self) -> usize {
        match self.input.shape.first() {
            Some(-1) => usize::MAX,
            _ => 1,
        }
    }

    /// Runs all rows at once; one vector per row comes back, in order.
    pub(super) fn run<T>(&mut self, rows: &[&[T]]) -> Result<Vec<Vec<f32>>, String>
    where
        T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
    {
        let mut shape = self.input.shape.clone();
        let per_row: i64 = shape[1..].iter().product();
        if let Some(wrong) = rows.iter().find(|row| row.len() as i64 != per_row) {
            return Err(format!("a row of {} values was given, {per_row} needed", wrong.len()));
        }
        shape[0] = rows.len() as i64;
        let flat: Vec<T> = rows.iter().flat_map(|row| row.iter().cloned()).collect();
        let tensor = TensorRef::from_array_view((shape, &flat[..])).map_err(said)?;
        let outputs = self.session.run(ort::inputs![&self.input.name => tensor]).map_err(said)?;
        let output = outputs.get(&self.output.name).ok_or("the output is missing")?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(said)?;
        let width = usize::try_from(self.output.shape[1]).map_err(|_| "the output is open")?;
        if shape[..] != [rows.len() as i64, width as i64] {
            return Err(format!("{} rows became an output of shape {shape}", rows.len()));
        }
        Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
    }
}

fn open_session(runtime: &Runtime, path: &Path, threads: usize) -> Result<Session, String> {
    Session::builder(runtime.environment())
        .map_err(said)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(said)?
        .with_intra_threads(threads)
        .map_err(said)?
        // A worker that waits must not burn its cores doing so.
        .with_intra_op_spinning(false)
        .map_err(said)?
        .commit_from_file(path)
        .map_err(said)
}

/// ONNX Runtime's own words; its error types differ by what can be recovered from them.
#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
fn said<R>(error: ort::Error<R>) -> String {
    error.message().to_owned()
}

fn compare(
    path: &Path,
    side: &'static str,
    outlets: &[Outlet],
    specs: &[TensorSpec],
) -> Result<(), GraphError> {
    let mut found: Vec<String> = outlets.iter().map(describe_outlet).collect();
    let mut expected: Vec<String> = specs.iter().map(describe_spec).collect();
    found.sort();
    expected.sort();
    if found == expected {
        return Ok(());
    }
    Err(GraphError::Mismatch { path: path.to_path_buf(), side, found, expected })
}

fn describe_outlet(outlet: &Outlet) -> String {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let dtype = match ty {
                TensorElementType::Float32 => "f32".to_owned(),
                TensorElementType::Int64 => "i64".to_owned(),
                other => format!("{other}"),
            };
            format!("{}: {dtype} {:?}", outlet.name(), &shape[..])
        }
        other => format!("{}: {other}", outlet.name()),
    }
}

fn describe_spec(spec: &TensorSpec) -> String {
    let dtype = match spec.dtype {
        Dtype::F32 => "f32",
        Dtype::I64 => "i64",
    };
    format!("{}: {dtype} {:?}", spec.name, spec.shape)
}
