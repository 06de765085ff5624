//! Curves as rows of points: every shape is a polygon by the time it is drawn.

/// A point: in local units while a subject is drawn, in pixels for backdrops.
pub(crate) type Spot = (f32, f32);

/// Points along a part of an ellipse; turns count from the right, clockwise.
pub(crate) fn arc(centre: Spot, radius: Spot, turns: (f32, f32)) -> Vec<Spot> {
    let steps = ((turns.1 - turns.0).abs() * 40.0).ceil().max(3.0) as usize;
    (0..=steps)
        .map(|step| {
            let turn = turns.0 + (turns.1 - turns.0) * step as f32 / steps as f32;
            let angle = turn * std::f32::consts::TAU;
            (centre.0 + radius.0 * angle.cos(), centre.1 + radius.1 * angle.sin())
        })
        .collect()
}

/// A Catmull-Rom curve through the spots.
pub(crate) fn smooth(spots: &[Spot], closed: bool) -> Vec<Spot> {
    let count = spots.len();
    // Counted from one before the first spot, so that the index never falls under zero.
    let spot = |after: usize| {
        if closed { spots[(after + count - 1) % count] } else { spots[after.max(1).min(count) - 1] }
    };
    let spans = if closed { count } else { count - 1 };
    let mut out = Vec::new();
    for span in 0..spans {
        let (p0, p1, p2, p3) = (spot(span), spot(span + 1), spot(span + 2), spot(span + 3));
        let along = |t: f32, a: f32, b: f32, c: f32, d: f32| {
            0.5 * (2.0 * b
                + (c - a) * t
                + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                + (3.0 * b - a - 3.0 * c + d) * t * t * t)
        };
        for step in 0..8 {
            let t = step as f32 / 8.0;
            out.push((along(t, p0.0, p1.0, p2.0, p3.0), along(t, p0.1, p1.1, p2.1, p3.1)));
        }
    }
    if !closed {
        out.push(spots[spots.len() - 1]);
    }
    out
}
