//! A picture enlarged tile by tile, in memory that does not grow with the picture beyond the two pictures themselves.

use std::ops::Range;

use super::tiles::{Span, spans};
use crate::imresize::imresize;
use crate::picture::{Picture, Region};
use crate::session::Session;
use crate::{Error, Result};

/// One picture being enlarged. The caller drives it, so it can show what is done, and stops by not going on.
///
/// The network sees windows with a halo of its receptive field, so the result is that of the untiled network. Alpha is enlarged
/// beside it by [`imresize`].
pub struct Enlargement<'a> {
    session: &'a Session,
    picture: &'a Picture,
    result: Picture,
    halo: usize,
    tile: usize,
    rows: Vec<Span>,
    columns: Vec<Span>,
    /// Tiles that were handed out by [`Enlargement::take`].
    taken: usize,
    done: usize,
}

/// A part of the picture that is computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What the network sees of the picture.
    pub window: Region,
    /// The region of the result that this gives.
    pub keep: Region,
}

/// The side of the smallest tile that is worth its halo: it keeps as much again.
fn smallest(halo: usize) -> usize {
    4 * halo
}

impl<'a> Enlargement<'a> {
    /// Prepares to enlarge `picture` by the scale of the session's network, in windows of `tile` x `tile` pixels, the halo
    /// included. A `tile` that the halo would fill is enlarged so that it keeps as much again.
    ///
    /// # Errors
    /// [`Error::Picture`] when there is no memory for the result; [`Error::Shape`] when the network has no receptive field, as
    /// those with an instance norm.
    pub fn new(session: &'a Session, picture: &'a Picture, tile: usize) -> Result<Self> {
        let scale = session.config().scale();
        let field = session.config().receptive_field();
        let field = field.ok_or_else(|| Error::shape("enlarge", "this network sees the whole picture, so tiles would show"))?;
        // imresize reads two pixels around.
        let halo = field.max(2);
        let tile = tile.max(smallest(halo));
        let (width, height) = (picture.width(), picture.height());
        let size = width.checked_mul(scale).zip(height.checked_mul(scale));
        let (w, h) = size.ok_or_else(|| Error::Picture(format!("{width} x {height} is too large to enlarge")))?;
        Ok(Self {
            session,
            picture,
            result: Picture::blank(w, h, picture)?,
            halo,
            tile,
            rows: spans(height, tile, halo),
            columns: spans(width, tile, halo),
            taken: 0,
            done: 0,
        })
    }

    /// How many tiles there are.
    pub fn tiles(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// How many tiles are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Computes the next tile and says which region of the result it filled; `None` when all are done.
    ///
    /// Where a GPU has not the memory for it, everything starts again with tiles of half the side: [`Enlargement::tiles`] and
    /// [`Enlargement::done`] change then, the result does not.
    ///
    /// # Errors
    /// The engine's own. The tile can be tried again.
    pub async fn step(&mut self) -> Result<Option<Region>> {
        loop {
            match self.next().await {
                Err(Error::Memory(why)) if self.halve() => log::warn!("tiles of {} pixels now: {why}", self.tile),
                outcome => return outcome,
            }
        }
    }

    /// Starts again with smaller tiles; false where the halo leaves no smaller ones.
    fn halve(&mut self) -> bool {
        // A tile that is larger than the picture does not become smaller by being halved.
        let tile = self.tile.min(self.picture.width().max(self.picture.height())) / 2;
        if tile < smallest(self.halo) {
            return false;
        }
        self.tile = tile;
        self.rows = spans(self.picture.height(), tile, self.halo);
        self.columns = spans(self.picture.width(), tile, self.halo);
        self.done = 0;
        true
    }

    async fn next(&mut self) -> Result<Option<Region>> {
        let Some(tile) = self.tile(self.done) else { return Ok(None) };
        let rgb = self.session.forward(&self.input(&tile), tile.window.height, tile.window.width).await?;
        self.put(&tile, &rgb)?;
        Ok(Some(tile.keep))
    }

    /// The next tile that nobody has, for a caller who has several computed at a time, elsewhere, instead of by
    /// [`Enlargement::step`]: [`Enlargement::input`] goes through the network, [`Enlargement::put`] takes what it gives, in any
    /// order.
    pub fn take(&mut self) -> Option<Tile> {
        let tile = self.tile(self.taken)?;
        self.taken += 1;
        Some(tile)
    }

    fn tile(&self, number: usize) -> Option<Tile> {
        let columns = self.columns.len();
        let (row, column) = (self.rows.get(number / columns)?, self.columns.get(number % columns)?);
        let scale = self.session.config().scale();
        let region = |x: &Range<usize>, y: &Range<usize>, scale| Region {
            x: x.start * scale,
            y: y.start * scale,
            width: x.len() * scale,
            height: y.len() * scale,
        };
        Some(Tile { window: region(&column.window, &row.window, 1), keep: region(&column.keep, &row.keep, scale) })
    }

    /// What the network sees of a tile: planar RGB of its window.
    pub fn input(&self, tile: &Tile) -> Vec<f32> {
        self.picture.planes(tile.window, 0, 3)
    }

    /// Puts what the network made of a tile's window where it belongs.
    ///
    /// # Errors
    /// [`Error::Shape`] when `rgb` has not the size of the enlarged window.
    pub fn put(&mut self, tile: &Tile, rgb: &[f32]) -> Result<()> {
        let scale = self.session.config().scale();
        let Tile { window, keep } = *tile;
        let (w, h) = (window.width * scale, window.height * scale);
        if rgb.len() != 3 * w * h {
            return Err(Error::shape("put", format!("{} values are not 3 x {h} x {w}", rgb.len())));
        }
        // Where in the enlarged window the kept part lies.
        let (left, top) = (keep.x - window.x * scale, keep.y - window.y * scale);
        let cut = |planes: &[f32]| -> Vec<f32> {
            let rows = (0..planes.len() / (w * h)).flat_map(|p| (0..keep.height).map(move |y| (p * h + top + y) * w + left));
            rows.flat_map(|start| &planes[start..start + keep.width]).copied().collect()
        };
        self.result.write_planes(keep, 0, 3, &cut(rgb));
        if self.picture.has_alpha() {
            let alpha = imresize(&self.picture.planes(window, 3, 1), [window.height, window.width], [h, w]);
            self.result.write_planes(keep, 3, 1, &cut(&alpha));
        }
        self.done += 1;
        Ok(())
    }

    /// The result so far; black where no tile is done.
    pub fn result(&self) -> &Picture {
        &self.result
    }

    /// The result, when all tiles are done.
    pub fn into_result(self) -> Picture {
        self.result
    }
}
