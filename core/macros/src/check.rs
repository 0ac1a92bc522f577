//! What an interface must not contain, and what to write instead.

use quote::ToTokens;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Generics, ItemTrait, LitStr, Pat, PathArguments, ReceiverKind,
    ReturnType, Signature, TraitItem, Type, TypeParamBound,
};

use crate::types::{holds_objects, is_handle, ok_type};

/// All problems of an interface, in one error.
pub(crate) fn problems(name: &LitStr, item: &ItemTrait) -> Option<Error> {
    let mut found = Found(None);
    if !is_name(&name.value()) {
        let fine = "an interface name is `<family>.<name>/<major>`, as in \"forethought.environment/1\": lowercase \
                    words, and a major version from 1";
        found.add(name, fine);
    }
    if let Some(unsafety) = &item.unsafety {
        found.add(
            unsafety,
            "an interface cannot be `unsafe`, because the other side cannot be held to a promise; write `trait`",
        );
    }
    if has_parameters(&item.generics) {
        found.add(
            &item.ident,
            "an interface cannot have parameters, because the other side does not know them; write one per type",
        );
    }
    if !is_send_and_sync(item) {
        let fine = format!(
            "an interface is `Send + Sync` alone, because calls come from any thread; write `trait {}: Send + Sync`",
            item.ident
        );
        found.add(&item.ident, &fine);
    }
    for member in &item.items {
        match member {
            TraitItem::Fn(method) => {
                wire_names(&method.attrs, &mut found);
                self::method(&method.sig, &mut found);
            }
            other => found.add(
                other,
                "an interface has only methods, because a message can request nothing else; make it a method",
            ),
        }
    }
    found.0
}

struct Found(Option<Error>);

impl Found {
    fn add(&mut self, at: &impl ToTokens, message: &str) {
        let error = Error::new_spanned(at, message);
        match &mut self.0 {
            Some(earlier) => earlier.combine(error),
            None => self.0 = Some(error),
        }
    }
}

fn wire_names(attributes: &[Attribute], found: &mut Found) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("wire")) {
        if attribute.parse_args::<LitStr>().is_err() {
            found.add(attribute, "write `#[wire(\"name\")]` with the method's name in messages");
        }
    }
}

fn method(signature: &Signature, found: &mut Found) {
    if signature.asyncness.is_none() {
        let fine =
            "a method of an interface is async, because its answer may cross processes; write `async fn`";
        found.add(&signature.fn_token, fine);
    }
    if !matches!(signature.safety, syn::Safety::Default) || signature.abi.is_some() {
        found.add(
            &signature.ident,
            "a method of an interface is a plain `async fn`, not `unsafe` or `extern`",
        );
    }
    if has_parameters(&signature.generics) {
        let fine = "a method of an interface has no type parameters and no `where`, because a message has one form; \
                    take one concrete type";
        found.add(&signature.ident, fine);
    }
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(_, None, None))
                || receiver.mutability.is_some()
            {
                let fine = "a method of an interface takes `&self`, because calls may overlap; keep mutable state in a \
                            `Mutex`";
                found.add(receiver, fine);
            }
        }
        _ => found.add(
            &signature.ident,
            "a method of an interface takes `&self`, because a call is made to an object",
        ),
    }
    for input in &signature.inputs {
        let FnArg::Typed(input) = input else { continue };
        if !is_plain(&input.pat) {
            let fine = "an argument of an interface has a plain name, which is its key in the message; destructure it, \
                        rename it or make it `mut` in the body";
            found.add(&input.pat, fine);
        }
        if let Some(attribute) = input.attrs.first() {
            found.add(attribute, "an argument of an interface has no attributes; put them on its type");
        }
        if matches!(*input.ty, Type::ImplTrait(_)) {
            found.add(
                &input.ty,
                "an argument of an interface has one concrete type, because a message has one form",
            );
        }
        if borrows(&input.ty) {
            let fine = "an argument of an interface is owned, because it may leave the process; write `String` for \
                        `&str`, `Vec<T>` for `&[T]`, `T` for `&T`";
            found.add(&input.ty, fine);
        }
        objects(&input.ty, found);
    }
    match (ok_type(&signature.output), &signature.output) {
        (Some(value), _) => {
            if borrows(value) {
                let fine = "a result of an interface is owned, because it may cross processes; write `String` for `&str`, \
                            `Vec<T>` for `&[T]`, `T` for `&T`";
                found.add(value, fine);
            }
            objects(value, found);
        }
        (None, ReturnType::Type(_, output)) => found.add(output, RESULT),
        (None, ReturnType::Default) => found.add(&signature.ident, RESULT),
    }
}

const RESULT: &str = "a method of an interface returns `Result<T>` of forethought_api, with its `Error`, because every \
                      call can fail in transit; write `Result<()>` if there is nothing to return";

fn objects(ty: &Type, found: &mut Found) {
    if holds_objects(ty) && !is_handle(ty) {
        let fine = "objects cross in a message as `Arc<dyn Interface>`, an `Option` of one, or a \
                    `Vec<(String, Arc<dyn Interface>)>`; write one of these";
        found.add(ty, fine);
    }
}

fn has_parameters(generics: &Generics) -> bool {
    !generics.params.is_empty() || generics.where_clause.is_some()
}

fn is_send_and_sync(item: &ItemTrait) -> bool {
    let mut names: Vec<String> = Vec::new();
    for bound in &item.supertraits {
        match bound {
            TypeParamBound::Trait(bound) => {
                names.extend(bound.path.segments.last().map(|segment| segment.ident.to_string()));
            }
            TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static" => {}
            _ => return false,
        }
    }
    names.sort();
    names == ["Send", "Sync"]
}

fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let major = |text: &str| text.parse::<u32>().is_ok_and(|major| major > 0 && major.to_string() == text);
    name.split_once('/')
        .is_some_and(|(path, version)| path.contains('.') && path.split('.').all(plain) && major(version))
}

/// Whether a pattern is only a name, without a leading underscore, which would be part of the key.
fn is_plain(pattern: &Pat) -> bool {
    let Pat::Ident(pattern) = pattern else { return false };
    let bare = pattern.by_ref.is_none() && pattern.mutability.is_none() && pattern.subpat.is_none();
    bare && !pattern.ident.to_string().starts_with('_')
}

fn borrows(ty: &Type) -> bool {
    match ty {
        Type::Reference(_) | Type::Slice(_) => true,
        Type::Path(path) => path.path.segments.iter().any(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(all) => all.args.iter().any(|argument| match argument {
                GenericArgument::Type(ty) => borrows(ty),
                GenericArgument::Lifetime(lifetime) => lifetime.ident != "static",
                _ => false,
            }),
            _ => false,
        }),
        Type::Tuple(tuple) => tuple.elems.iter().any(borrows),
        Type::Array(array) => borrows(&array.elem),
        Type::Paren(inner) => borrows(&inner.elem),
        Type::Group(inner) => borrows(&inner.elem),
        _ => false,
    }
}
