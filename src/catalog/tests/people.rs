//! Persons outlive clusters, and the owner's word is read in the transaction that obeys it.

use super::*;

fn at(id: &str, number: u32) -> FaceRef {
    FaceRef { image: image(id), face: number }
}

fn assigned(id: &str, number: u32, cluster: i64, person: &str) -> FaceAssignment {
    let person = Some(PersonId(person.into()));
    FaceAssignment { face: at(id, number), cluster: Some(cluster), person }
}

async fn with_faces() -> Story {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.upload(id, "a").await;
        let seen = NewAnalysis { faces: Some(vec![face(1.0), face(50.0)]), ..analysis("x") };
        assert_eq!(story.store(id, 1, 1, &seen).await, Stored::Stored);
    }
    story
}

#[tokio::test]
async fn names_outlive_every_new_clustering() {
    let story = with_faces().await;
    let (catalog, library) = (&story.catalog, &story.library);
    let faces = vec![
        assigned("1", 0, 0, "ada"),
        assigned("1", 1, 0, "ada"),
        assigned("2", 0, 0, "ada"),
        assigned("3", 1, 1, "bob"),
    ];
    let first = Assignment { faces, retired: vec![] };
    catalog.apply_assignment(library, &first).await.unwrap();
    let counts = async || {
        let persons = catalog.persons(library).await.unwrap();
        persons.into_iter().map(|it| (it.person.0, it.name, it.image_count)).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [("ada".into(), None, 2), ("bob".into(), None, 1)]);
    let ada = PersonId("ada".into());
    catalog.set_person(library, &ada, Some("Ada"), false).await.unwrap();
    let nobody = catalog.set_person(library, &PersonId("x".into()), None, true).await;
    assert!(matches!(nobody, Err(CatalogError::Refused { .. })));

    // A clustering that finds neither of them: the nameless one goes, the name stays.
    let faces = vec![assigned("3", 0, 7, "eve")];
    let retired = vec![ada, PersonId("bob".into())];
    let second = Assignment { faces, retired };
    catalog.apply_assignment(library, &second).await.unwrap();
    let expected = [("ada".into(), Some("Ada".into()), 0), ("eve".into(), None, 1)];
    assert_eq!(counts().await, expected);
    let owned = catalog.faces_of(library).await.unwrap();
    assert_eq!(owned.len(), 6);
    let with_person: Vec<_> = owned.iter().filter(|it| it.person.is_some()).collect();
    assert_eq!(with_person.len(), 1);
    assert_eq!((&with_person[0].face, with_person[0].cluster), (&at("3", 0), Some(7)));
}

#[tokio::test]
async fn the_owners_word_is_one_word_and_can_be_taken_back() {
    let story = with_faces().await;
    let (catalog, library) = (&story.catalog, &story.library);
    let kind = ConstraintKind::CannotLink;
    let said = NewConstraint { kind, a: at("1", 0), b: at("2", 0) };
    let crossed = NewConstraint { kind, a: at("2", 0), b: at("1", 0) };
    let other = NewConstraint { kind: ConstraintKind::MustLink, ..said.clone() };
    assert_eq!(catalog.add_constraint(library, &said).await.unwrap(), 1);
    assert_eq!(catalog.add_constraint(library, &crossed).await.unwrap(), 1);
    assert_eq!(catalog.add_constraint(library, &other).await.unwrap(), 2);
    assert!(catalog.undo_constraint(library, 1).await.unwrap());
    assert!(!catalog.undo_constraint(library, 1).await.unwrap());
    assert_eq!(catalog.add_constraint(library, &said).await.unwrap(), 3);
    let standing = catalog.constraints(library).await.unwrap();
    let numbers: Vec<_> = standing.iter().map(|it| (it.id, it.said.kind)).collect();
    assert_eq!(numbers, [(2, ConstraintKind::MustLink), (3, ConstraintKind::CannotLink)]);

    let decided = catalog
        .assign_people(library, |now| {
            assert_eq!(now.constraints, standing);
            assert_eq!((now.faces.len(), now.persons.len()), (6, 0));
            Assignment { faces: vec![assigned("1", 0, 0, "ada")], retired: vec![] }
        })
        .await
        .unwrap();
    assert_eq!(decided.faces.len(), 1);
    assert_eq!(catalog.persons(library).await.unwrap().len(), 1);
}
