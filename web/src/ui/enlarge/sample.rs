//! The sample: a harbour poster, drawn by the program. It has what enlargement is judged by: lettering, rigging, waves, grain,
//! soft gradients.

use wasm_bindgen::JsValue;
use web_sys::{CanvasRenderingContext2d, ImageData};

use crate::ui::dom::canvas;

/// It is drawn this large and then made small, as a camera does: the network is trained to undo that.
const DRAWN: [f64; 2] = [1280.0, 960.0];
/// Small enough for a processor to enlarge while one watches.
pub const TO_ENLARGE: u32 = 320;
/// Large enough to be looked at as it is.
pub const TO_RESTYLE: u32 = 640;
/// Where the water begins.
const HORIZON: f64 = 560.0;

/// Draws it, so many pixels wide.
///
/// # Errors
/// What the browser throws.
pub fn draw(width: u32) -> Result<ImageData, JsValue> {
    let (large, scene) = canvas(DRAWN[0] as u32, DRAWN[1] as u32)?;
    let mut chance = Chance(2_463_534_242);
    sky(&scene, &mut chance)?;
    hills(&scene, &mut chance);
    village(&scene, &mut chance);
    water(&scene, &mut chance)?;
    lighthouse(&scene)?;
    boat(&scene, 430.0, 690.0, 1.0)?;
    boat(&scene, 800.0, 612.0, 0.42)?;
    gulls(&scene, &mut chance);
    title(&scene)?;
    grain(&scene, &mut chance);
    let height = width * 3 / 4;
    let (_, small) = canvas(width, height)?;
    small.set_image_smoothing_enabled(true);
    js_sys::Reflect::set(&small, &"imageSmoothingQuality".into(), &"high".into())?;
    small.draw_image_with_html_canvas_element_and_dw_and_dh(&large, 0.0, 0.0, width.into(), height.into())?;
    small.get_image_data(0.0, 0.0, width.into(), height.into())
}

/// Marsaglia's xorshift: the same sample every time.
struct Chance(u32);

impl Chance {
    /// Evenly from `low` to `high`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        low + (high - low) * f64::from(self.0) / f64::from(u32::MAX)
    }
}

type Scene = CanvasRenderingContext2d;

fn fill(scene: &Scene, colour: &str, points: &[[f64; 2]]) {
    scene.set_fill_style_str(colour);
    trace(scene, points);
    scene.fill();
}

fn stroke(scene: &Scene, colour: &str, width: f64, points: &[[f64; 2]]) {
    scene.set_stroke_style_str(colour);
    scene.set_line_width(width);
    trace(scene, points);
    scene.stroke();
}

fn trace(scene: &Scene, points: &[[f64; 2]]) {
    scene.begin_path();
    for (i, [x, y]) in points.iter().enumerate() {
        if i == 0 { scene.move_to(*x, *y) } else { scene.line_to(*x, *y) }
    }
}

fn disc(scene: &Scene, colour: &str, x: f64, y: f64, radius: f64) -> Result<(), JsValue> {
    scene.set_fill_style_str(colour);
    scene.begin_path();
    scene.arc(x, y, radius, 0.0, std::f64::consts::TAU)?;
    scene.fill();
    Ok(())
}

fn sky(scene: &Scene, chance: &mut Chance) -> Result<(), JsValue> {
    let gradient = scene.create_linear_gradient(0.0, 0.0, 0.0, HORIZON);
    for (at, colour) in [(0.0, "#16325c"), (0.45, "#3f6f9e"), (0.75, "#e9a86b"), (1.0, "#fbe3b1")] {
        gradient.add_color_stop(at, colour)?;
    }
    scene.set_fill_style_canvas_gradient(&gradient);
    scene.fill_rect(0.0, 0.0, DRAWN[0], HORIZON);
    let (x, y) = (880.0, 470.0);
    for i in 0..36 {
        let (from, to) = (f64::from(i) * 10.0_f64.to_radians(), f64::from(i).mul_add(10.0, 4.0).to_radians());
        let ray = |angle: f64| [x + 1600.0 * angle.cos(), y + 1600.0 * angle.sin()];
        fill(scene, "rgba(255, 240, 205, 0.10)", &[[x, y], ray(from), ray(to)]);
    }
    disc(scene, "rgba(255, 236, 190, 0.35)", x, y, 120.0)?;
    disc(scene, "#fff3d6", x, y, 84.0)?;
    for _ in 0..26 {
        let (cx, cy, wide) = (chance.between(0.0, 1280.0), chance.between(200.0, 500.0), chance.between(60.0, 240.0));
        scene.set_fill_style_str("rgba(255, 250, 240, 0.20)");
        scene.begin_path();
        scene.ellipse(cx, cy, wide, chance.between(3.0, 9.0), 0.0, 0.0, std::f64::consts::TAU)?;
        scene.fill();
    }
    Ok(())
}

fn hills(scene: &Scene, chance: &mut Chance) {
    for (base, rise, colour) in [(430.0, 60.0, "#7d8fa8"), (480.0, 46.0, "#56708c"), (525.0, 30.0, "#34526b")] {
        let mut ridge = vec![[0.0, HORIZON]];
        let (a, b) = (chance.between(0.0, 6.0), chance.between(0.0, 6.0));
        for x in (0..=1280).step_by(8) {
            let x = f64::from(x);
            let wave = (x / 190.0 + a).sin() + 0.5 * (x / 71.0 + b).sin();
            ridge.push([x, base - rise * wave * 0.6 - chance.between(0.0, 7.0)]);
        }
        ridge.push([1280.0, HORIZON]);
        fill(scene, colour, &ridge);
    }
}

fn village(scene: &Scene, chance: &mut Chance) {
    const WALLS: [&str; 5] = ["#f3e3c8", "#e7b98a", "#d98c6a", "#f7efe0", "#c9d3cf"];
    let mut x = 40.0;
    while x < 620.0 {
        let (wide, tall) = (chance.between(34.0, 62.0), chance.between(52.0, 118.0));
        let top = HORIZON - tall;
        let colour = WALLS[chance.between(0.0, 4.99) as usize];
        fill(scene, colour, &[[x, HORIZON], [x, top], [x + wide, top], [x + wide, HORIZON]]);
        fill(
            scene,
            "rgba(30, 40, 70, 0.16)",
            &[[x + wide * 0.7, HORIZON], [x + wide * 0.7, top], [x + wide, top], [x + wide, HORIZON]],
        );
        let peak = top - chance.between(16.0, 30.0);
        fill(scene, "#9c4a37", &[[x - 4.0, top], [x + wide / 2.0, peak], [x + wide + 4.0, top]]);
        for i in 1..5 {
            let y = top - (top - peak) * f64::from(i) / 5.0;
            let half = (wide / 2.0 + 4.0) * (1.0 - f64::from(i) / 5.0);
            stroke(scene, "rgba(60, 20, 15, 0.5)", 1.6, &[[x + wide / 2.0 - half, y], [x + wide / 2.0 + half, y]]);
        }
        let mut y = top + 12.0;
        while y < HORIZON - 16.0 {
            for column in [0.2, 0.6] {
                scene.set_fill_style_str(if chance.between(0.0, 1.0) < 0.4 { "#ffdf8e" } else { "#33435c" });
                scene.fill_rect(x + wide * column, y, wide * 0.2, 12.0);
            }
            y += 24.0;
        }
        x += wide + chance.between(-2.0, 6.0);
    }
}

fn water(scene: &Scene, chance: &mut Chance) -> Result<(), JsValue> {
    let gradient = scene.create_linear_gradient(0.0, HORIZON, 0.0, DRAWN[1]);
    for (at, colour) in [(0.0, "#e0b184"), (0.16, "#5f93a5"), (0.6, "#27597a"), (1.0, "#12304f")] {
        gradient.add_color_stop(at, colour)?;
    }
    scene.set_fill_style_canvas_gradient(&gradient);
    scene.fill_rect(0.0, HORIZON, DRAWN[0], DRAWN[1] - HORIZON);
    for _ in 0..900 {
        let depth = chance.between(0.0, 1.0);
        let y = HORIZON + 4.0 + depth * depth * 390.0;
        let x = chance.between(-40.0, 1280.0);
        let wide = 10.0 + 70.0 * depth;
        // The sun's path is bright, the rest only stirs.
        let near_sun = (-((x + wide / 2.0 - 880.0) / (60.0 + 160.0 * depth)).powi(2)).exp();
        let bright = chance.between(0.0, 1.0) < 0.25 + 0.6 * near_sun;
        let colour = match bright {
            true => format!("rgba(255, 236, 196, {:.2})", 0.18 + 0.6 * near_sun),
            false => "rgba(8, 28, 52, 0.28)".into(),
        };
        stroke(scene, &colour, 1.2 + 2.6 * depth, &[[x, y], [x + wide * 0.3, y - 1.0 - 3.0 * depth], [x + wide, y]]);
    }
    Ok(())
}

fn lighthouse(scene: &Scene) -> Result<(), JsValue> {
    fill(
        scene,
        "#3b4250",
        &[[1010.0, 640.0], [1060.0, 575.0], [1180.0, 560.0], [1280.0, 580.0], [1280.0, 660.0], [1110.0, 668.0]],
    );
    let edge = |t: f64| [1120.0 - 34.0 + 12.0 * t, 1120.0 + 34.0 - 12.0 * t];
    for band in 0..7 {
        let (low, high) = (f64::from(band) / 7.0, f64::from(band + 1) / 7.0);
        let y = |t: f64| 580.0 - 290.0 * t;
        let colour = if band % 2 == 0 { "#fbf6ea" } else { "#c8352b" };
        fill(
            scene,
            colour,
            &[[edge(low)[0], y(low)], [edge(high)[0], y(high)], [edge(high)[1], y(high)], [edge(low)[1], y(low)]],
        );
        let shade = [[1128.0, y(low)], [1128.0, y(high)], [edge(high)[1], y(high)], [edge(low)[1], y(low)]];
        fill(scene, "rgba(20, 24, 50, 0.18)", &shade);
    }
    scene.set_fill_style_str("#20283a");
    scene.fill_rect(1090.0, 282.0, 60.0, 9.0);
    scene.set_fill_style_str("#ffe9a6");
    scene.fill_rect(1103.0, 246.0, 34.0, 36.0);
    for x in [1103.0, 1114.0, 1125.0, 1136.0] {
        stroke(scene, "#20283a", 2.4, &[[x, 246.0], [x, 282.0]]);
    }
    for x in 0..9 {
        let x = 1091.0 + 7.2 * f64::from(x);
        stroke(scene, "#20283a", 1.6, &[[x, 264.0], [x, 284.0]]);
    }
    fill(scene, "#20283a", &[[1096.0, 247.0], [1120.0, 216.0], [1144.0, 247.0]]);
    stroke(scene, "#20283a", 2.4, &[[1120.0, 220.0], [1120.0, 196.0]]);
    let beam = scene.create_linear_gradient(1103.0, 0.0, 560.0, 0.0);
    beam.add_color_stop(0.0, "rgba(255, 240, 190, 0.55)")?;
    beam.add_color_stop(1.0, "rgba(255, 240, 190, 0)")?;
    scene.set_fill_style_canvas_gradient(&beam);
    trace(scene, &[[1103.0, 264.0], [560.0, 184.0], [560.0, 308.0]]);
    scene.fill();
    Ok(())
}

/// A sailing boat, its waterline at `(x, y)`.
fn boat(scene: &Scene, x: f64, y: f64, size: f64) -> Result<(), JsValue> {
    let at = |dx: f64, dy: f64| [x + dx * size, y + dy * size];
    fill(scene, "#fff8ea", &[at(6.0, -30.0), at(6.0, -352.0), at(150.0, -42.0)]);
    fill(scene, "#f0d9b5", &[at(-8.0, -40.0), at(-8.0, -318.0), at(-128.0, -46.0)]);
    for i in 1..8 {
        let t = f64::from(i) / 8.0;
        stroke(
            scene,
            "rgba(90, 70, 50, 0.55)",
            1.8 * size,
            &[at(6.0, -352.0 + 322.0 * t), at(6.0 + 144.0 * t, -352.0 + 310.0 * t)],
        );
    }
    stroke(scene, "#4a2f22", 7.0 * size, &[at(0.0, -24.0), at(0.0, -372.0)]);
    for dx in [-168.0, -120.0, -60.0, 70.0, 130.0, 176.0] {
        stroke(scene, "rgba(35, 25, 25, 0.85)", 2.0 * size, &[at(0.0, -366.0), at(dx, -26.0)]);
    }
    fill(scene, "#c8352b", &[at(0.0, -372.0), at(46.0, -384.0), at(0.0, -396.0)]);
    fill(scene, "#7b2d26", &[at(-182.0, -34.0), at(190.0, -34.0), at(146.0, 14.0), at(-140.0, 14.0)]);
    fill(scene, "#f6ead2", &[at(-184.0, -38.0), at(194.0, -38.0), at(190.0, -28.0), at(-181.0, -28.0)]);
    for i in 0..5 {
        let [px, py] = at(-110.0 + 52.0 * f64::from(i), -12.0);
        disc(scene, "#f3d9a4", px, py, 6.0 * size)?;
    }
    scene.set_fill_style_str("#f6ead2");
    scene.set_font(&format!("600 {}px Georgia, 'DejaVu Serif', serif", 17.0 * size));
    let [px, py] = at(92.0, -6.0);
    scene.fill_text("AURORE", px, py)?;
    for i in 0..9 {
        let dy = 20.0 + 9.0 * f64::from(i);
        let half = 150.0 - 9.0 * f64::from(i);
        let shift = 14.0 * (f64::from(i) * 1.9).sin();
        stroke(scene, "rgba(60, 20, 20, 0.30)", 4.0 * size, &[at(shift - half, dy), at(shift + half, dy)]);
    }
    Ok(())
}

fn gulls(scene: &Scene, chance: &mut Chance) {
    for _ in 0..11 {
        let (x, y, wing) = (chance.between(560.0, 1050.0), chance.between(215.0, 400.0), chance.between(9.0, 22.0));
        let points = [
            [x - wing, y - wing * 0.35],
            [x - wing * 0.4, y - wing * 0.5],
            [x, y],
            [x + wing * 0.4, y - wing * 0.5],
            [x + wing, y - wing * 0.35],
        ];
        stroke(scene, "rgba(250, 250, 250, 0.95)", 3.0, &points);
    }
}

fn title(scene: &Scene) -> Result<(), JsValue> {
    const SERIF: &str = "Georgia, 'DejaVu Serif', serif";
    scene.set_text_align("center");
    scene.set_fill_style_str("#fff4dc");
    scene.set_font(&format!("700 104px {SERIF}"));
    scene.fill_text("PORT-AURORE", 640.0, 138.0)?;
    scene.set_font(&format!("italic 38px {SERIF}"));
    scene.fill_text("four hours from the city, by the morning train", 640.0, 190.0)?;
    scene.set_fill_style_str("rgba(10, 26, 48, 0.78)");
    scene.fill_rect(0.0, 892.0, DRAWN[0], 68.0);
    scene.set_fill_style_str("#f3d9a4");
    scene.set_font(&format!("600 27px {SERIF}"));
    scene.fill_text("SUMMER SEASON · REGATTA 14–21 JULY · TICKETS AT ALL STATIONS", 640.0, 935.0)?;
    scene.set_text_align("start");
    scene.set_stroke_style_str("#fff4dc");
    scene.set_line_width(5.0);
    scene.stroke_rect(18.0, 18.0, DRAWN[0] - 36.0, DRAWN[1] - 36.0);
    Ok(())
}

fn grain(scene: &Scene, chance: &mut Chance) {
    for _ in 0..5000 {
        let colour = if chance.between(0.0, 1.0) < 0.5 { "rgba(255, 255, 255, 0.07)" } else { "rgba(0, 0, 0, 0.07)" };
        scene.set_fill_style_str(colour);
        scene.fill_rect(chance.between(0.0, DRAWN[0]), chance.between(0.0, DRAWN[1]), 3.0, 3.0);
    }
}
