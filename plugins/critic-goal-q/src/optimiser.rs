//! AdamW: fused on the CPU, candle's own elsewhere.

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::cpu::{Adam, AdamStep};
use crate::network::Network;

/// The first and second moments of each network's weights.
pub(crate) type Moments = Vec<(Vec<f32>, Vec<f32>)>;

/// AdamW over the weights of the networks that are trained.
pub(crate) enum Optimiser {
    /// One pass over the weights, in place.
    Fused { moments: Moments, adam: Adam },
    /// For devices other than the CPU.
    Candle(AdamW),
}

impl Optimiser {
    pub(crate) fn new(networks: &[&Network], learning_rate: f64, weight_decay: f64) -> Result<Self> {
        if networks[0].weights().device().is_cpu() {
            let zeros = networks.iter().map(|network| vec![0.0; network.weights().elem_count()]);
            let moments = zeros.map(|zeros| (zeros.clone(), zeros)).collect();
            let (learning_rate, weight_decay) = (learning_rate as f32, weight_decay as f32);
            return Ok(Self::Fused { moments, adam: Adam { learning_rate, weight_decay, step: 0 } });
        }
        let variables = networks.iter().map(|network| Var::from_tensor(network.weights()));
        let parameters = ParamsAdamW { lr: learning_rate, weight_decay, ..ParamsAdamW::default() };
        Ok(Self::Candle(AdamW::new(variables.collect::<Result<_>>()?, parameters)?))
    }

    /// The moments and the step of the fused one.
    pub(crate) fn get(&self) -> Option<(&Moments, i32)> {
        match self {
            Self::Fused { moments, adam } => Some((moments, adam.step)),
            Self::Candle(_) => None,
        }
    }

    /// Sets those of the fused one.
    pub(crate) fn set(&mut self, by: Moments, step: i32) {
        if let Self::Fused { moments, adam } = self {
            (*moments, adam.step) = (by, step);
        }
    }

    /// Its moments by name, if it is the fused one: candle keeps its own to itself.
    pub(crate) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let Some((moments, _)) = self.get() else { candle_core::bail!("candle's AdamW cannot be read") };
        let named = moments.iter().enumerate().flat_map(|(at, (first, second))| {
            [(format!("first.{at}"), first), (format!("second.{at}"), second)]
        });
        named.map(|(name, one)| Ok((name, Tensor::from_slice(one, one.len(), &Device::Cpu)?))).collect()
    }

    /// Sets the fused one to what it was after `steps`; `take` gives its moments by name.
    pub(crate) fn restore<E: From<candle_core::Error>>(
        &mut self,
        steps: u64,
        mut take: impl FnMut(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<(), E> {
        let Self::Fused { moments, adam } = self else { return Ok(()) };
        adam.step = i32::try_from(steps).unwrap_or(i32::MAX);
        for (at, (first, second)) in moments.iter_mut().enumerate() {
            *first = take(&format!("first.{at}"))?.to_vec1()?;
            *second = take(&format!("second.{at}"))?.to_vec1()?;
        }
        Ok(())
    }

    /// Moves the weights of the networks, given in the order of [`Optimiser::new`], against their gradients.
    pub(crate) fn step(&mut self, networks: &[&Network], gradients: &GradStore) -> Result<()> {
        match self {
            Self::Candle(adamw) => adamw.step(gradients),
            Self::Fused { moments, adam } => {
                adam.step += 1;
                for (network, (first, second)) in networks.iter().zip(moments) {
                    let Some(gradient) = network.take_gradient() else { continue };
                    network.weights().inplace_op1(&AdamStep {
                        gradient: &gradient,
                        moments: RefCell::new((first, second)),
                        adam: *adam,
                    })?;
                }
                Ok(())
            }
        }
    }
}
