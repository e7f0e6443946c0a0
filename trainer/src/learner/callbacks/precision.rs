use anyhow::{Result, bail};

use crate::learner::{Callback, Flow, Run};

/// Loss scaling for f16 (Micikevicius et al. 2017, arXiv:1710.03740): the loss is multiplied by a large number, the gradients are
/// divided by it. A step whose gradients overflow is left out and the number halved; after many good ones it is doubled.
pub struct LossScale;

const SCALE: &str = "loss_scale";
const GOOD: &str = "loss_scale.good_steps";
const PATIENCE: f64 = 1000.0;

impl Callback for LossScale {
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        run.loss_scale = run.facts.get(SCALE).copied().unwrap_or(65536.0);
        Ok(Flow::Go)
    }

    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        let mut finite = true;
        for gradient in run.gradients.values_mut() {
            *gradient = (&*gradient / run.loss_scale)?;
            finite &= gradient.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite();
        }
        let good = run.facts.get(GOOD).copied().unwrap_or(0.0);
        let good = if !finite {
            run.gradients.clear();
            run.loss_scale /= 2.0;
            if run.loss_scale < 1.0 {
                bail!("step {}: gradients overflow f16 at any scale of the loss; the batch was {}", run.step, run.described);
            }
            0.0
        } else if good + 1.0 >= PATIENCE {
            run.loss_scale *= 2.0;
            0.0
        } else {
            good + 1.0
        };
        run.facts.insert(GOOD.into(), good);
        run.facts.insert(SCALE.into(), run.loss_scale);
        Ok(if finite { Flow::Go } else { Flow::Skip })
    }
}
