//! The public sets that `trainer data` knows. Every checksum here was published; where it was is said beside it.

use super::checksum::Checksum::{self, Md5, Sha256};
use super::fetch::Download;
use super::sets::{Archive, Set};
use super::unpack::Packing::{self, Gz, Plain, TarGz, Zip};

const fn archive(packing: Packing, url: &'static str, bytes: Option<u64>, checksum: Option<Checksum>) -> Archive {
    Archive { packing, download: Download { url, bytes, checksum } }
}

/// All sets.
pub const SETS: &[Set] = &[DIV2K, PERCEPTUAL, PERCEPTUAL_VGG16, MULTI30K, TATOEBA_FRA, TATOEBA_DEU, CIFAR10, CAMVID, CARVANA];

/// The set of this name.
pub fn find(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

// Checksums and sizes: TensorFlow Datasets, url_checksums/div2k.txt.
const DIV2K: Set = Set {
    name: "div2k",
    about: "800 + 100 photos of 2K, high resolution: super-resolution",
    licence: "academic research only",
    home: "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    archives: &[
        archive(
            Zip,
            "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
            Some(3_530_603_713),
            Some(Sha256("9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335")),
        ),
        archive(
            Zip,
            "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip",
            Some(448_993_893),
            Some(Sha256("20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc")),
        ),
    ],
    by_hand: None,
};

// torchvision's own files are Python's pickles; timm publishes the same weights under the same names as safetensors. The hub
// publishes no checksum beside them.
const PERCEPTUAL: Set = Set {
    name: "perceptual",
    about: "VGG-19 with torchvision's weights: what judges style transfer",
    licence: "BSD-3-Clause; trained on ImageNet, whose pictures are for research",
    home: "https://huggingface.co/timm/vgg19.tv_in1k",
    archives: &[archive(Plain, "https://huggingface.co/timm/vgg19.tv_in1k/resolve/main/model.safetensors", None, None)],
    by_hand: None,
};

const PERCEPTUAL_VGG16: Set = Set {
    name: "perceptual-vgg16",
    about: "VGG-16 with torchvision's weights, a little smaller",
    home: "https://huggingface.co/timm/vgg16.tv_in1k",
    archives: &[archive(Plain, "https://huggingface.co/timm/vgg16.tv_in1k/resolve/main/model.safetensors", None, None)],
    ..PERCEPTUAL
};

/// One file of Multi30k's repository, at a fixed commit.
macro_rules! multi30k {
    ($file:literal, $bytes:literal, $checksum:expr) => {
        archive(
            Gz,
            concat!(
                "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/",
                $file
            ),
            Some($bytes),
            Some($checksum),
        )
    };
}

// MD5: torchtext 0.9, datasets/multi30k.py, for all languages. SHA-256: published by users of the repository for German and
// English only.
const MULTI30K: Set = Set {
    name: "multi30k",
    about: "29,000 + 1,014 + 1,000 captions in English, German and French: translation",
    licence: "non-commercial research (captions of Flickr30k)",
    home: "https://github.com/multi30k/dataset",
    archives: &[
        multi30k!("train.en.gz", 568_929, Sha256("d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f")),
        multi30k!("train.de.gz", 637_044, Sha256("726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6")),
        multi30k!("train.fr.gz", 604_242, Md5("6cb767741dcad3931f966fefbc05203f")),
        multi30k!("val.en.gz", 21_650, Sha256("14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28")),
        multi30k!("val.de.gz", 24_681, Sha256("f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a")),
        multi30k!("val.fr.gz", 23_001, Md5("93fc564584b7e5ba410c761ea5a1c682")),
        multi30k!("test_2016_flickr.en.gz", 21_077, Sha256("611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9")),
        multi30k!("test_2016_flickr.de.gz", 22_890, Sha256("9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8")),
        multi30k!("test_2016_flickr.fr.gz", 22_310, Md5("08dc7cd4a662f31718412de95ca9bfe3")),
    ],
    by_hand: None,
};

// The site renews its files every few weeks and publishes no checksum.
const TATOEBA_FRA: Set = Set {
    name: "tatoeba-fra",
    about: "pairs of English and French sentences: translation",
    licence: "CC BY 2.0 FR; name tatoeba.org and manythings.org",
    home: "https://www.manythings.org/anki/",
    archives: &[archive(Zip, "https://www.manythings.org/anki/fra-eng.zip", None, None)],
    by_hand: None,
};

const TATOEBA_DEU: Set = Set {
    name: "tatoeba-deu",
    about: "pairs of English and German sentences: translation",
    archives: &[archive(Zip, "https://www.manythings.org/anki/deu-eng.zip", None, None)],
    ..TATOEBA_FRA
};

// Checksum and size: TensorFlow Datasets, url_checksums/cifar10.txt.
const CIFAR10: Set = Set {
    name: "cifar10",
    about: "50,000 + 10,000 pictures of 32 x 32 in 10 classes, binary version: classification",
    licence: "none stated; cite Krizhevsky 2009",
    home: "https://www.cs.toronto.edu/~kriz/cifar.html",
    archives: &[archive(
        TarGz,
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        Some(170_052_171),
        Some(Sha256("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")),
    )],
    by_hand: None,
};

// Checksum and size: fastai, data/checks.txt.
const CAMVID: Set = Set {
    name: "camvid",
    about: "701 street scenes of 960 x 720 with a class for each pixel: segmentation",
    licence: "non-commercial research; cite Brostow et al. 2009",
    home: "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    archives: &[archive(
        TarGz,
        "https://s3.amazonaws.com/fast-ai-imagelocal/camvid.tgz",
        Some(598_913_237),
        Some(Md5("648371e4f3a833682afb39b08a3ce2aa")),
    )],
    by_hand: None,
};

// Checksums and sizes: TensorFlow Datasets, url_checksums/carvana.txt.
const CARVANA: Set = Set {
    name: "carvana",
    about: "5,088 photos of cars of 1918 x 1280 with masks: segmentation",
    licence: "the rules of the Kaggle competition",
    home: "https://www.kaggle.com/competitions/carvana-image-masking-challenge",
    archives: &[
        archive(
            Zip,
            "https://www.kaggle.com/competitions/carvana-image-masking-challenge/data?select=train.zip",
            Some(424_233_528),
            Some(Sha256("dcb524b44ad0e70af0d89d6d41384ca9a5f483456717b2ba4591eefcdffbc80e")),
        ),
        archive(
            Zip,
            "https://www.kaggle.com/competitions/carvana-image-masking-challenge/data?select=train_masks.zip",
            Some(30_537_860),
            Some(Sha256("01b6748a4fd68757e381bfa3ae77ddfba4a62521cc3ea8f31c5842591bc2fc2d")),
        ),
    ],
    by_hand: Some("Kaggle gives it only to those who have an account and have accepted the rules of the competition."),
};
