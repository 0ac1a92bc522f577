//! Pages as text, in the forms that agents were trained and prompted with.

mod html;
mod react;
mod rich;
mod text;

pub use html::html;
pub use react::react;
pub use rich::rich;
pub use text::text;
