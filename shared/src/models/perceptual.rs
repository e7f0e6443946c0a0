//! Networks that judge pictures: what they see in one, layer by layer, is what a loss compares (Gatys et al. 2015,
//! arXiv:1508.06576; Johnson et al. 2016, arXiv:1603.08155). Their weights are other people's, and read from files in their names.

use crate::checkpoint::{Dense, Tensors};
use crate::layers::Conv2d;
use crate::tensor::Padding;
use crate::{Error, Init, Result, Scope, Tensor};

/// The layers of VGG-19 (Simonyan and Zisserman 2014, arXiv:1409.1556): channels of its convolutions of 3x3, and 0 for pooling.
const VGG19: [usize; 20] = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512];
/// Those of VGG-16.
const VGG16: [usize; 16] = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512];

/// What a photo has on average in each channel, and how far it strays: what the networks of torchvision expect to be taken out.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Under which name the convolution of 1x1 stands that prepares the picture.
const INPUT: &str = "input";

/// Which network a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerceptualKind {
    /// SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360), by torchvision's names.
    SqueezeNet,
    /// VGG-16, by torchvision's names.
    Vgg16,
    /// VGG-19, by torchvision's names.
    Vgg19,
    /// VGG-19 from its beginning to `relu3_1` with normalised activations and mirrored borders, as in Li et al. 2017
    /// (arXiv:1705.08086), by the numbers of its layers in Torch.
    Vgg19Front,
}

/// A part of a network.
enum Layer<T> {
    Conv(Conv2d<T>),
    /// Convolution and ReLU; what it gives is a feature of this name.
    Relu(String, Conv2d<T>),
    Pool {
        kernel: usize,
        stride: usize,
    },
    Fire(String, Fire<T>),
}

/// SqueezeNet's module: few channels, then many again, of 1x1 and 3x3.
struct Fire<T> {
    squeeze: Conv2d<T>,
    expand1x1: Conv2d<T>,
    expand3x3: Conv2d<T>,
}

/// `[N, 3, H, W]`, RGB in 0..1, to features by name.
pub struct Perceptual<T> {
    layers: Vec<Layer<T>>,
}

impl PerceptualKind {
    /// The network that these tensors are of, by their names and dimensions.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when they are of none.
    pub fn of(tensors: &Tensors) -> Result<Self> {
        let dims = |name: &str| tensors.get(name).map(|tensor| tensor.dims.as_slice());
        match (dims("features.0.weight"), dims("features.3.squeeze.weight"), dims("16.weight")) {
            (Some([64, 3, 3, 3]), Some(_), _) => Ok(Self::SqueezeNet),
            // The third block has three convolutions or four.
            (Some([64, 3, 3, 3]), None, _) if dims("features.16.weight").is_some_and(|d| d.first() == Some(&256)) => {
                Ok(Self::Vgg19)
            }
            (Some([64, 3, 3, 3]), None, _) => Ok(Self::Vgg16),
            (None, None, Some([256, 128, 3, 3])) => Ok(Self::Vgg19Front),
            _ => Err(Error::Checkpoint("neither SqueezeNet 1.1 nor VGG-16 nor VGG-19 in torchvision's names".into())),
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::SqueezeNet => "SqueezeNet 1.1",
            Self::Vgg16 => "VGG-16",
            Self::Vgg19 => "VGG-19",
            Self::Vgg19Front => "VGG-19 to relu3_1, normalised",
        }
    }

    /// The features that its authors compare for style, fine ones first.
    pub fn style_layers(self) -> &'static [&'static str] {
        match self {
            Self::SqueezeNet => &["relu0", "fire3", "fire4", "fire6", "fire7", "fire9", "fire10"],
            Self::Vgg16 => &["relu1_2", "relu2_2", "relu3_3", "relu4_3"],
            Self::Vgg19 => &["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"],
            Self::Vgg19Front => &["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"],
        }
    }

    /// The feature that is compared for content.
    pub fn content_layer(self) -> &'static str {
        match self {
            Self::SqueezeNet => "fire6",
            Self::Vgg16 => "relu2_2",
            Self::Vgg19 => "relu3_1",
            Self::Vgg19Front => "relu2_2",
        }
    }
}

/// `tensors` with the convolution that prepares the picture, as far as the file has none: it subtracts the mean and divides by
/// the deviation.
pub fn prepared(kind: PerceptualKind, mut tensors: Tensors) -> Tensors {
    if kind != PerceptualKind::Vgg19Front {
        let weight = (0..9).map(|i| if i % 4 == 0 { 1.0 / DEVIATION[i / 3] } else { 0.0 }).collect();
        let bias = MEAN.iter().zip(DEVIATION).map(|(mean, deviation)| -mean / deviation).collect();
        tensors.insert(format!("{INPUT}.weight"), Dense { dims: vec![3, 3, 1, 1], values: weight });
        tensors.insert(format!("{INPUT}.bias"), Dense { dims: vec![3], values: bias });
    }
    tensors
}

impl<T: Tensor> Perceptual<T> {
    /// The network as far as it must go for the features `wanted`, from what [`prepared`] gives.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is no such feature, or a tensor is missing.
    pub fn new(kind: PerceptualKind, wanted: &[&str], scope: &Scope<T>) -> Result<Self> {
        let mut network = Self { layers: Vec::new() };
        match kind {
            PerceptualKind::SqueezeNet => network.squeeze_net(wanted, scope)?,
            PerceptualKind::Vgg16 => network.vgg(&VGG16, wanted, scope)?,
            PerceptualKind::Vgg19 => network.vgg(&VGG19, wanted, scope)?,
            PerceptualKind::Vgg19Front => network.front(wanted, scope)?,
        }
        let Some(missing) = network.missing(wanted) else { return Ok(network) };
        let known = network.names().collect::<Vec<_>>().join(", ");
        Err(Error::Checkpoint(format!("{} has no layer “{missing}”; it has {known}", kind.title())))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().filter_map(Layer::name)
    }

    /// A feature that it does not give, so far.
    fn missing<'a>(&self, wanted: &[&'a str]) -> Option<&'a str> {
        wanted.iter().copied().find(|wanted| !self.names().any(|name| name == *wanted))
    }

    fn squeeze_net(&mut self, wanted: &[&str], scope: &Scope<T>) -> Result<()> {
        let features = scope.sub("features");
        self.layers.push(Layer::Conv(conv(3, 3, 1, &scope.sub(INPUT))?));
        let stem = conv(3, 64, 3, &features.sub(0))?.stride(2).padding(Padding::Zeros(0));
        self.layers.push(Layer::Relu("relu0".to_owned(), stem));
        let fires =
            [(3, 64, 16, 64), (4, 128, 16, 64), (6, 128, 32, 128), (7, 256, 32, 128), (9, 256, 48, 192), (10, 384, 48, 192)];
        for (number, inputs, squeezed, expanded) in fires.into_iter().chain([(11, 384, 64, 256), (12, 512, 64, 256)]) {
            if self.missing(wanted).is_none() {
                return Ok(());
            }
            if matches!(number, 3 | 6 | 9) {
                self.layers.push(Layer::Pool { kernel: 3, stride: 2 });
            }
            let part = features.sub(number);
            let fire = Fire {
                squeeze: conv(inputs, squeezed, 1, &part.sub("squeeze"))?,
                expand1x1: conv(squeezed, expanded, 1, &part.sub("expand1x1"))?,
                expand3x3: conv(squeezed, expanded, 3, &part.sub("expand3x3"))?,
            };
            self.layers.push(Layer::Fire(format!("fire{number}"), fire));
        }
        Ok(())
    }

    /// torchvision numbers convolutions, ReLUs and poolings alike. Of an odd size it drops the last row where ours pools it alone.
    fn vgg(&mut self, channels: &[usize], wanted: &[&str], scope: &Scope<T>) -> Result<()> {
        let features = scope.sub("features");
        self.layers.push(Layer::Conv(conv(3, 3, 1, &scope.sub(INPUT))?));
        let (mut inputs, mut number, mut block, mut place) = (3, 0, 1, 1);
        for &outputs in channels {
            if self.missing(wanted).is_none() {
                return Ok(());
            }
            if outputs == 0 {
                self.layers.push(Layer::Pool { kernel: 2, stride: 2 });
                (number, block, place) = (number + 1, block + 1, 1);
                continue;
            }
            let layer = conv(inputs, outputs, 3, &features.sub(number))?;
            self.layers.push(Layer::Relu(format!("relu{block}_{place}"), layer));
            (inputs, number, place) = (outputs, number + 2, place + 1);
        }
        Ok(())
    }

    /// Torch numbers paddings too.
    fn front(&mut self, wanted: &[&str], scope: &Scope<T>) -> Result<()> {
        self.layers.push(Layer::Conv(conv(3, 3, 1, &scope.sub(0))?));
        let layers = [
            (2, 3, 64, "relu1_1"),
            (5, 64, 64, "relu1_2"),
            (9, 64, 128, "relu2_1"),
            (12, 128, 128, "relu2_2"),
            (16, 128, 256, "relu3_1"),
        ];
        for (number, inputs, outputs, name) in layers {
            if self.missing(wanted).is_none() {
                return Ok(());
            }
            if matches!(number, 9 | 16) {
                self.layers.push(Layer::Pool { kernel: 2, stride: 2 });
            }
            let layer = conv(inputs, outputs, 3, &scope.sub(number))?.padding(Padding::Reflect(1));
            self.layers.push(Layer::Relu(name.to_owned(), layer));
        }
        Ok(())
    }

    /// The features `wanted` of a batch, each `[N, C, H, W]`, in the network's order.
    ///
    /// # Errors
    /// [`Error::Shape`] when the picture is too small for the network, [`Error::Checkpoint`] when there is no such feature.
    pub fn features(&self, x: &T, wanted: &[&str]) -> Result<Vec<(&str, T)>> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut y = x.clone();
        for layer in &self.layers {
            if found.len() == wanted.len() {
                break;
            }
            y = layer.forward(&y)?;
            if let Some(name) = layer.name().filter(|name| wanted.contains(name)) {
                found.push((name, y.clone()));
            }
        }
        match self.missing(wanted) {
            Some(missing) => Err(Error::Checkpoint(format!("there is no layer “{missing}”"))),
            None => Ok(found),
        }
    }
}

/// With zeros around, so that the size stays.
fn conv<T: Tensor>(inputs: usize, outputs: usize, kernel: usize, scope: &Scope<T>) -> Result<Conv2d<T>> {
    Conv2d::new(inputs, outputs, kernel, Init::Kaiming { gain: 1.0 }, scope)
}

impl<T: Tensor> Layer<T> {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Relu(name, _) | Self::Fire(name, _) => Some(name),
            Self::Conv(_) | Self::Pool { .. } => None,
        }
    }

    fn forward(&self, x: &T) -> Result<T> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Relu(_, conv) => conv.relu(x),
            Self::Pool { kernel, stride } => x.max_pool(*kernel, *stride),
            Self::Fire(_, fire) => fire.forward(x),
        }
    }
}

impl<T: Tensor> Fire<T> {
    fn forward(&self, x: &T) -> Result<T> {
        let x = self.squeeze.relu(x)?;
        T::cat_channels(&[&self.expand1x1.relu(&x)?, &self.expand3x3.relu(&x)?])
    }
}
