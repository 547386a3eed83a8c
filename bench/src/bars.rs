//! What the figures are held to.

use serde_json::{Value, json};

/// One figure and its bar.
pub struct Bar {
    figure: &'static str,
    value: f64,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
}

impl Bar {
    pub const fn at_most(figure: &'static str, value: f64, bar: f64) -> Self {
        Self { figure, value, bound: Bound::AtMost(bar) }
    }

    pub const fn at_least(figure: &'static str, value: f64, bar: f64) -> Self {
        Self { figure, value, bound: Bound::AtLeast(bar) }
    }

    pub const fn exactly(figure: &'static str, value: f64, bar: f64) -> Self {
        Self { figure, value, bound: Bound::Exactly(bar) }
    }

    /// The bar as it is printed.
    fn to_json(&self) -> Value {
        let (bound, bar, held) = match self.bound {
            Bound::AtMost(bar) => ("at_most", bar, self.value <= bar),
            Bound::AtLeast(bar) => ("at_least", bar, self.value >= bar),
            Bound::Exactly(bar) => ("exactly", bar, (self.value - bar).abs() < f64::EPSILON),
        };
        json!({ "figure": self.figure, "value": self.value, bound: bar, "held": held })
    }
}

/// All bars of a benchmark.
pub fn bars(bars: impl IntoIterator<Item = Bar>) -> Value {
    bars.into_iter().map(|bar| bar.to_json()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_held_up_to_itself_and_no_farther() {
        let held = |bar: Bar| bar.to_json()["held"] == true;
        assert!(held(Bar::at_most("ratio", 1.3, 1.3)) && !held(Bar::at_most("ratio", 1.31, 1.3)));
        assert!(held(Bar::at_least("messages", 64.0, 64.0)) && !held(Bar::at_least("messages", 63.9, 64.0)));
        assert!(held(Bar::exactly("calls", 1.0, 1.0)) && !held(Bar::exactly("calls", 2.0, 1.0)));
        // A floor of nothing makes no ratio, and no bar is held by that.
        assert!(!held(Bar::at_most("ratio", f64::NAN, 1.3)));
    }
}
