//! Any order of uploads, results and failures against a small model of one image.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Upload { hash: u8 },
    Store { behind: i64, fence: i64 },
    Fail { behind: i64, fence: i64 },
    Remove,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3_u8).prop_map(|hash| Step::Upload { hash }),
        4 => (0..2_i64, 1..6_i64).prop_map(|(behind, fence)| Step::Store { behind, fence }),
        2 => (0..2_i64, 1..6_i64).prop_map(|(behind, fence)| Step::Fail { behind, fence }),
        1 => Just(Step::Remove),
    ];
    proptest::collection::vec(step, 1..14)
}

/// What must be true of the image.
#[derive(Debug, Default)]
struct Model {
    revision: i64,
    hash: u8,
    living: bool,
    fence: i64,
    state: Option<StageState>,
    said: Option<String>,
    told: usize,
}

impl Model {
    fn upload(&mut self, hash: u8) {
        if self.living && self.hash == hash {
            return;
        }
        self.revision += 1;
        if !self.living {
            (self.fence, self.said) = (0, None);
        }
        (self.hash, self.living, self.state) = (hash, true, Some(StageState::Waiting));
    }

    fn write(&mut self, revision: i64, fence: i64, state: StageState) -> bool {
        if !self.living || revision != self.revision || fence < self.fence {
            return false;
        }
        let repeated = fence == self.fence && self.state != Some(StageState::Waiting);
        self.told += usize::from(!repeated);
        (self.fence, self.state) = (fence, Some(state));
        true
    }
}

async fn run(story: &Story, id: &str, steps: &[Step]) {
    let (catalog, library) = (&story.catalog, &story.library);
    let mut model = Model::default();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Upload { hash } => {
                story.upload(id, &hash.to_string()).await;
                model.upload(*hash);
            }
            Step::Store { behind, fence } => {
                let revision = model.revision - behind;
                let words = format!("step {number}");
                let stored = story.store(id, revision, *fence, &analysis(&words)).await;
                let wrote = model.write(revision, *fence, StageState::Done);
                assert_eq!(stored == Stored::Stored, wrote, "step {number}: {stored:?}");
                if wrote {
                    model.said = Some(words);
                }
            }
            Step::Fail { behind, fence } => {
                let revision = model.revision - behind;
                let (rev, token) = (Revision(revision), Fence(*fence));
                let failed =
                    catalog.fail_image(library, &image(id), rev, token, "no", Stage::ALL).await;
                let wrote = model.write(revision, *fence, StageState::Failed);
                assert_eq!(failed.unwrap() == Stored::Stored, wrote, "step {number}");
            }
            Step::Remove => {
                let removed = catalog.remove_image(library, &image(id)).await.unwrap();
                assert_eq!(removed, model.living, "step {number}");
                if model.living {
                    (model.living, model.state, model.said, model.fence) = (false, None, None, 0);
                }
            }
        }
    }
    let Some(record) = catalog.image(library, &image(id)).await.unwrap() else {
        assert_eq!(model.revision, 0);
        return;
    };
    assert_eq!(record.revision, Revision(model.revision));
    assert_eq!(record.removed_at.is_none(), model.living);
    let embed = record.stages.iter().find(|stage| stage.stage == Stage::Embed);
    assert_eq!(embed.map(|stage| stage.state), model.state);
    assert_eq!(record.analysis.and_then(|it| it.description), model.said);
    let told = catalog.undelivered(1_000_000).await.unwrap();
    let mine = told.iter().filter(|event| event.image == Some(image(id))).count();
    assert_eq!(mine, model.told);
}

#[test]
fn any_order_of_steps_ends_as_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let story = runtime.block_on(story());
    let count = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in steps())| {
        count.set(count.get() + 1);
        runtime.block_on(run(&story, &format!("case-{}", count.get()), &steps));
    });
}
