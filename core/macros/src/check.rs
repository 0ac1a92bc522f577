//! What an interface may not hold, and what to write instead.

use syn::{
    Error, FnArg, GenericArgument, ItemTrait, LitStr, Pat, PathArguments, ReturnType, TraitItem, TraitItemFn,
    Type, spanned::Spanned,
};

/// Everything that is wrong with an interface, in one error.
pub(crate) fn problems(name: &LitStr, item: &ItemTrait) -> Option<Error> {
    let mut found = Found(None);
    if !is_name(&name.value()) {
        found.add(
            name,
            "an interface is called `<family>.<name>/<major>`, as in \"forethought.environment/1\"",
        );
    }
    if !item.generics.params.is_empty() {
        found.add(&item.generics, "an interface has no parameters: the other side could not know them");
    }
    for member in &item.items {
        match member {
            TraitItem::Fn(method) => self::method(method, &mut found),
            other => found
                .add(other, "an interface has methods only: anything else cannot be asked for by a message"),
        }
    }
    found.0
}

struct Found(Option<Error>);

impl Found {
    fn add(&mut self, at: &impl Spanned, message: &str) {
        let error = Error::new(at.span(), message);
        match &mut self.0 {
            Some(earlier) => earlier.combine(error),
            None => self.0 = Some(error),
        }
    }
}

fn method(method: &TraitItemFn, found: &mut Found) {
    let signature = &method.sig;
    if signature.asyncness.is_none() {
        let fine =
            "an interface's method is async: its answer may come from another process; write `async fn`";
        found.add(&signature.fn_token, fine);
    }
    if !signature.generics.params.is_empty() {
        found.add(&signature.generics, "a method of an interface has no parameters: a message has one form");
    }
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            if receiver.reference.is_none() || receiver.mutability.is_some() {
                let fine = "a method of an interface takes `&self`: others may call at the same time; keep what \
                            changes in a `Mutex`";
                found.add(receiver, fine);
            }
        }
        _ => found.add(&signature.ident, "a method of an interface takes `&self`"),
    }
    for input in &signature.inputs {
        let FnArg::Typed(input) = input else { continue };
        if !matches!(&*input.pat, Pat::Ident(_)) {
            found.add(
                &input.pat,
                "an argument of an interface has a plain name: that is its key in the message",
            );
        }
        if borrows(&input.ty) {
            let fine = "an argument of an interface is owned, for it may leave the process; write `String` for `&str`, \
                        `Vec<T>` for `&[T]`, `T` for `&T`";
            found.add(&input.ty, fine);
        }
    }
    if !returns_result(&signature.output) {
        let fine = "a method of an interface returns `Result<T>`: every call can fail on the way";
        match &signature.output {
            ReturnType::Default => found.add(&signature.ident, fine),
            ReturnType::Type(_, output) => found.add(output, fine),
        }
    } else if let ReturnType::Type(_, output) = &signature.output
        && borrows(output)
    {
        found.add(output, "what an interface returns is owned, for it may come from another process");
    }
}

fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    match name.split_once('/') {
        Some((path, major)) => {
            path.contains('.')
                && path.split('.').all(plain)
                && major.parse::<u32>().is_ok_and(|major| major > 0)
        }
        None => false,
    }
}

fn borrows(ty: &Type) -> bool {
    match ty {
        Type::Reference(_) => true,
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
        Type::Slice(_) => true,
        Type::Paren(inner) => borrows(&inner.elem),
        Type::Group(inner) => borrows(&inner.elem),
        _ => false,
    }
}

fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::Path(path) = &**ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Result")
}
