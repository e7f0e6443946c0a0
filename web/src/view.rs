//! Where the picture lies on the stage: zoom and pan, as plain geometry.

/// A stage of some size in CSS pixels, a sheet (the picture) of its own size, and how one lies on the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    stage: [f64; 2],
    sheet: [f64; 2],
    /// CSS pixels per pixel of the sheet.
    zoom: f64,
    /// The top left corner of the sheet on the stage.
    corner: [f64; 2],
    /// Whether the sheet follows the size of the stage.
    fits: bool,
}

/// A picture smaller than the stage is shown at most so much larger when it is fitted.
const FIT_UP: f64 = 8.0;
/// The largest zoom.
const MOST: f64 = 32.0;
/// Space around a fitted picture.
const MARGIN: f64 = 12.0;

impl View {
    /// A sheet that fits the stage. Sizes of nothing count as 1.
    pub fn new(stage: [f64; 2], sheet: [f64; 2]) -> Self {
        let mut view =
            Self { stage: stage.map(at_least_1), sheet: sheet.map(at_least_1), zoom: 1.0, corner: [0.0; 2], fits: true };
        view.fit();
        view
    }

    /// CSS pixels per pixel of the sheet.
    pub fn zoom(&self) -> f64 {
        self.zoom
    }

    /// The sheet on the stage: left, top, width, height.
    pub fn place(&self) -> [f64; 4] {
        [self.corner[0], self.corner[1], self.sheet[0] * self.zoom, self.sheet[1] * self.zoom]
    }

    /// Whether there is more than the stage shows.
    pub fn can_pan(&self) -> bool {
        (0..2).any(|i| self.sheet[i] * self.zoom > self.stage[i] + 1.0)
    }

    /// Shows all of the sheet.
    pub fn fit(&mut self) {
        self.fits = true;
        self.zoom = self.fitting();
        self.settle();
    }

    fn fitting(&self) -> f64 {
        let room = |i: usize| (self.stage[i] - 2.0 * MARGIN).max(1.0) / self.sheet[i];
        room(0).min(room(1)).min(FIT_UP)
    }

    /// The stage has another size now.
    pub fn resize(&mut self, stage: [f64; 2]) {
        let stage = stage.map(at_least_1);
        for i in 0..2 {
            self.corner[i] += (stage[i] - self.stage[i]) / 2.0;
        }
        self.stage = stage;
        if self.fits {
            self.fit();
        } else {
            self.settle();
        }
    }

    /// Zooms to `zoom` and keeps what lies under the point `at` of the stage where it is.
    pub fn zoom_to(&mut self, zoom: f64, at: [f64; 2]) {
        let zoom = zoom.clamp(self.fitting().min(0.1), MOST);
        for i in 0..2 {
            self.corner[i] = at[i] - (at[i] - self.corner[i]) * zoom / self.zoom;
        }
        self.zoom = zoom;
        self.fits = false;
        self.settle();
    }

    /// The middle of the stage, for buttons and keys.
    pub fn middle(&self) -> [f64; 2] {
        self.stage.map(|s| s / 2.0)
    }

    /// Moves the sheet.
    pub fn pan(&mut self, by: [f64; 2]) {
        for i in 0..2 {
            self.corner[i] += by[i];
        }
        self.settle();
    }

    /// A sheet that is smaller than the stage is centred; a larger one leaves no gap.
    fn settle(&mut self) {
        for i in 0..2 {
            let spare = self.stage[i] - self.sheet[i] * self.zoom;
            self.corner[i] = if spare >= 0.0 { spare / 2.0 } else { self.corner[i].clamp(spare, 0.0) };
        }
    }
}

fn at_least_1(x: f64) -> f64 {
    if x.is_finite() { x.max(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_and_centres() {
        let view = View::new([824.0, 624.0], [1600.0, 1200.0]);
        assert_eq!(view.place(), [12.0, 12.0, 800.0, 600.0]);
        assert!(!view.can_pan());
        let tiny = View::new([824.0, 624.0], [10.0, 10.0]);
        assert_eq!(tiny.zoom(), FIT_UP);
    }

    #[test]
    fn zooming_keeps_the_point_under_the_cursor() {
        let mut view = View::new([824.0, 624.0], [1600.0, 1200.0]);
        let at = [300.0, 200.0];
        let under = |v: &View| [0, 1].map(|i| (at[i] - v.place()[i]) / v.zoom());
        let before = under(&view);
        view.zoom_to(3.0, at);
        let after = under(&view);
        assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() < 1e-9), "{before:?} {after:?}");
        assert!(view.can_pan());
    }

    #[test]
    fn panning_stops_at_the_edges() {
        let mut view = View::new([800.0, 600.0], [1600.0, 1200.0]);
        view.zoom_to(1.0, [0.0, 0.0]);
        view.pan([1e6, -1e6]);
        assert_eq!(view.place(), [0.0, -600.0, 1600.0, 1200.0]);
    }

    #[test]
    fn a_fitted_sheet_follows_the_stage_and_a_zoomed_one_stays() {
        let mut view = View::new([824.0, 624.0], [1600.0, 1200.0]);
        view.resize([424.0, 624.0]);
        assert_eq!(view.zoom(), 0.25);
        view.zoom_to(2.0, view.middle());
        view.resize([800.0, 600.0]);
        assert_eq!(view.zoom(), 2.0);
        view.resize([0.0, f64::NAN]);
        assert!(view.place().iter().all(|x| x.is_finite()));
    }
}
