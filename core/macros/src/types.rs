//! What the tokens of a type tell about it.

use syn::{GenericArgument, PathArguments, ReturnType, Type};

/// The `T` of a method's `Result<T>`; `None` if it returns anything else.
pub(crate) fn ok_type(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, ty) = output else { return None };
    match arguments(ty, "Result")?[..] {
        [ty] => Some(ty),
        _ => None,
    }
}

/// Whether serde accepts an absent value.
pub(crate) fn is_option(ty: &Type) -> bool {
    arguments(ty, "Option").is_some()
}

/// Whether it contains objects, which are attached to a message.
pub(crate) fn holds_objects(ty: &Type) -> bool {
    match ty {
        Type::TraitObject(_) => true,
        Type::Tuple(tuple) => tuple.elems.iter().any(holds_objects),
        Type::Array(array) => holds_objects(&array.elem),
        Type::Paren(inner) => holds_objects(&inner.elem),
        Type::Group(inner) => holds_objects(&inner.elem),
        Type::Path(path) => {
            path.path.segments.iter().flat_map(|segment| types(&segment.arguments)).any(holds_objects)
        }
        _ => false,
    }
}

/// Whether it is one of the supported forms of objects in a message.
pub(crate) fn is_handle(ty: &Type) -> bool {
    let inner = |name| arguments(ty, name).and_then(|types| types.first().copied());
    match (inner("Arc"), inner("Option"), inner("Vec")) {
        (Some(Type::TraitObject(_)), ..) => true,
        (_, Some(optional), _) => is_handle(optional),
        (.., Some(Type::Tuple(named))) => named.elems.len() == 2 && is_handle(&named.elems[1]),
        _ => false,
    }
}

/// The type arguments of a path that ends in `name`.
fn arguments<'a>(ty: &'a Type, name: &str) -> Option<Vec<&'a Type>> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    (last.ident == name).then(|| types(&last.arguments).collect())
}

fn types(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let all = match arguments {
        PathArguments::AngleBracketed(all) => Some(&all.args),
        _ => None,
    };
    all.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
