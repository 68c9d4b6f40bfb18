//! Stacks as a picture: one box per function and the functions it was called by, as wide as the time spent in it.
//!
//! Plain SVG without script; holding the pointer over a box shows its full name and share.

use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 1_600.0;
const LINE: f64 = 16.0;
/// Narrower boxes are left out.
const BOX_MIN: f64 = 0.5;
/// Room for one character.
const CHARACTER: f64 = 6.6;

/// What was seen, from the outermost function inwards.
#[derive(Default)]
pub(crate) struct Tree {
    samples: u64,
    callees: BTreeMap<String, Tree>,
}

impl Tree {
    pub(crate) fn add<'a>(&mut self, stack: impl Iterator<Item = &'a str>, samples: u64) {
        self.samples += samples;
        let mut at = self;
        for name in stack {
            at = at.callees.entry(name.to_owned()).or_default();
            at.samples += samples;
        }
    }

    /// The picture.
    pub(crate) fn svg(&self, title: &str) -> String {
        let height = (self.depth(WIDTH / self.samples.max(1) as f64) + 2) as f64 * LINE;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
             <text x=\"4\" y=\"12\">{}: {} samples</text>\n",
            escaped(title),
            self.samples
        );
        self.draw(&mut svg, 0.0, LINE, self.samples.max(1) as f64);
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String, x: f64, y: f64, all: f64) {
        let mut x = x;
        for (name, callee) in &self.callees {
            let width = WIDTH * callee.samples as f64 / all;
            if width >= BOX_MIN {
                let share = 100.0 * callee.samples as f64 / all;
                let shown = name.chars().take((width / CHARACTER) as usize).collect::<String>();
                let _ = writeln!(
                    svg,
                    "<g><title>{} ({share:.2} %)</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" \
                     fill=\"hsl({},70%,70%)\" stroke=\"white\" stroke-width=\"0.3\"/><text x=\"{:.1}\" y=\"{}\">{}</text></g>",
                    escaped(name),
                    LINE - 1.0,
                    hue(name),
                    x + 2.0,
                    y + 12.0,
                    escaped(&shown)
                );
                callee.draw(svg, x, y + LINE, all);
            }
            x += width;
        }
    }

    /// How many lines are drawn, at so many units a sample.
    fn depth(&self, unit: f64) -> usize {
        let drawn = self.callees.values().filter(|callee| callee.samples as f64 * unit >= BOX_MIN);
        drawn.map(|callee| 1 + callee.depth(unit)).max().unwrap_or_default()
    }
}

/// Warm colours; the same for the same name.
fn hue(name: &str) -> u32 {
    name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 60
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_as_wide_as_its_share() {
        let mut tree = Tree::default();
        tree.add(["main", "a<b>"].into_iter(), 3);
        tree.add(["main"].into_iter(), 1);
        let svg = tree.svg("t");
        assert!(svg.contains("<title>main (100.00 %)</title>") && svg.contains("width=\"1600.0\""), "{svg}");
        assert!(svg.contains("<title>a&lt;b&gt; (75.00 %)</title>") && svg.contains("width=\"1200.0\""), "{svg}");
    }
}
