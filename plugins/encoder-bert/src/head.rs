//! The modules after the pooling: layers over the pooled vector, and its length.

use candle_core::{D, DType, Device, Result as Candle, Tensor};
use candle_nn::ops::sigmoid;
use forethought_candle::FLOATS;
use forethought_sdk::prelude::*;

use crate::{
    folder::{CONFIG, ModelFolder, json},
    modules::After,
};

/// What is done to pooled vectors, in order. In the end they have unit length.
pub(crate) struct Head {
    steps: Vec<Step>,
    /// The length of the vector that comes out.
    pub(crate) dimension: usize,
    /// What distinguishes the layers, for the encoder's id; empty without layers.
    pub(crate) identity: String,
}

enum Step {
    Normalize,
    Dense { weight: Tensor, bias: Option<Tensor>, activation: Activation },
}

#[data]
#[derive(Debug)]
struct DenseFile {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default)]
    activation_function: Option<String>,
    #[serde(default)]
    module_input_name: Option<String>,
    #[serde(default)]
    module_output_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

impl DenseFile {
    fn check(&self, inputs: usize) -> Result<()> {
        if self.in_features != inputs {
            return Err(Error::input(format!(
                "`in_features` is {}, but the vectors before it have {inputs} numbers",
                self.in_features
            )));
        }
        let pooled = |name: &Option<String>| name.as_deref().is_none_or(|name| name == "sentence_embedding");
        if self.use_residual || !pooled(&self.module_input_name) || !pooled(&self.module_output_name) {
            return Err(Error::config(
                "only layers from `sentence_embedding` to `sentence_embedding` without a residual are supported",
            ));
        }
        Ok(())
    }
}

/// The activation of a layer, by its class in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Tanh,
    Gelu,
    Relu,
    Silu,
    Sigmoid,
}

impl Activation {
    fn named(class: Option<&str>) -> Result<Self> {
        match class.map(|class| class.rsplit('.').next().unwrap_or_default()) {
            // What sentence-transformers assumes.
            None | Some("Tanh") => Ok(Self::Tanh),
            Some("Identity") => Ok(Self::Identity),
            Some("GELU") => Ok(Self::Gelu),
            Some("ReLU") => Ok(Self::Relu),
            Some("SiLU") => Ok(Self::Silu),
            Some("Sigmoid") => Ok(Self::Sigmoid),
            Some(_) => Err(Error::config(format!(
                "`activation_function` is {:?}; Identity, Tanh, GELU, ReLU, SiLU and Sigmoid are supported",
                class.unwrap_or_default()
            ))),
        }
    }

    fn apply(self, x: &Tensor) -> Candle<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Tanh => x.tanh(),
            Self::Gelu => x.gelu_erf(),
            Self::Relu => x.relu(),
            Self::Silu => x.silu(),
            Self::Sigmoid => sigmoid(x),
        }
    }
}

impl Head {
    pub(crate) fn load(folder: &ModelFolder, device: &Device) -> Result<Self> {
        let mut head =
            Self { steps: Vec::new(), dimension: folder.architecture.hidden_size, identity: String::new() };
        let mut names = Vec::new();
        for module in &folder.modules.after {
            match module {
                After::Normalize => {
                    head.steps.push(Step::Normalize);
                    names.push("normalize".to_owned());
                }
                After::Dense(place) => names.push(head.dense(folder, place, device)?),
            }
        }
        // Without layers, lengths that are made 1 before the end change nothing.
        if names.iter().any(|name| name != "normalize") {
            head.identity = format!("&head={}", names.join(","));
        }
        Ok(head)
    }

    /// Adds the layer in the folder `place`; gives its part of the identity.
    fn dense(&mut self, folder: &ModelFolder, place: &str, device: &Device) -> Result<String> {
        let path = folder.file(place, CONFIG);
        let file: DenseFile = json(&path)?;
        let activation = file
            .check(self.dimension)
            .and_then(|()| Activation::named(file.activation_function.as_deref()))
            .context(format!("{} is not supported", path.display()))?;
        let weights = folder.weights(place)?;
        let mut tensors = weights.tensors(device)?;
        let mut take = |name: &str, shape: &[usize]| {
            Ok::<_, Error>(tensors.take(name, shape, FLOATS)?.to_dtype(DType::F32)?)
        };
        let weight = take("linear.weight", &[file.out_features, file.in_features])?.t()?.contiguous()?;
        let bias = if file.bias { Some(take("linear.bias", &[file.out_features])?) } else { None };
        self.steps.push(Step::Dense { weight, bias, activation });
        self.dimension = file.out_features;
        Ok(format!("dense-{activation:?}-{}", &weights.hash.to_hex()[..16]).to_lowercase())
    }

    /// Pooled vectors, one per row, as unit vectors of this head's dimension.
    pub(crate) fn apply(&self, mut x: Tensor) -> Candle<Tensor> {
        for step in &self.steps {
            x = match step {
                Step::Normalize => normalized(&x)?,
                Step::Dense { weight, bias, activation } => {
                    let product = x.matmul(weight)?;
                    activation.apply(&match bias {
                        Some(bias) => product.broadcast_add(bias)?,
                        None => product,
                    })?
                }
            };
        }
        normalized(&x)
    }
}

/// Rows divided by their Euclidean norms.
fn normalized(x: &Tensor) -> Candle<Tensor> {
    let norm = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(f32::MIN_POSITIVE)?;
    x.broadcast_div(&norm)
}
