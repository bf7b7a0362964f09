//! `[[product]]`: named sets of operations. Read before the apis, because an operation knows its
//! products; checked after them, because only they know the operations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ahash::AHashMap;

use super::super::diagnostic::Problems;
use super::super::names::Names;
use super::super::section::{Section, Text};
use super::files::Files;
use crate::model::api::Operation;
use crate::model::id::{OperationId, ProductName};
use crate::model::policy::Product;

const PRODUCTS_MAX: usize = 1000;
const OPERATIONS_MAX: usize = 10_000;

/// Products as they were read; their operations are not known to exist.
pub(super) struct Products<'s> {
    list: Vec<Listed<'s>>,
    /// In config order, by operation id.
    containing: BTreeMap<&'s str, Vec<ProductName>>,
}

struct Listed<'s> {
    /// None: the name was bad, and was reported.
    name: Option<ProductName>,
    operations: Vec<Text<'s>>,
}

pub(super) fn products<'s>(files: &mut Files<'s>) -> Products<'s> {
    let mut names = files.names("product");
    let sections = files.tables("product", PRODUCTS_MAX);
    let list: Vec<_> = sections.into_iter().map(|section| product(section, &mut names)).collect();
    let mut containing: BTreeMap<&str, Vec<ProductName>> = BTreeMap::new();
    for product in &list {
        for operation in &product.operations {
            containing.entry(operation.text).or_default().extend(product.name.clone());
        }
    }
    Products { list, containing }
}

fn product<'s>(mut section: Section<'s>, names: &mut Names) -> Listed<'s> {
    let name = section.name("name");
    if let Some(name) = &name {
        names.declare(name.text.text, name.text.at, section.problems);
    }
    section.need("operations", "operations = [\"api.operation\"]");
    let operations = section.texts("operations", 1..=OPERATIONS_MAX).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for operation in operations.iter().filter(|operation| !seen.insert(operation.text)) {
        let message = format!("\"{}\" is listed twice", operation.text);
        section.problems.error(operation.at, message, "take one out");
    }
    section.finish();
    Listed { name: name.map(|named| named.name), operations }
}

impl Products<'_> {
    /// The products that list an operation, in config order; None when nothing lists it.
    pub(super) fn containing(&self, operation: &OperationId) -> Option<&[ProductName]> {
        self.containing.get(operation.as_str()).map(Vec::as_slice)
    }

    pub(super) fn names(&self) -> Vec<ProductName> {
        self.list.iter().filter_map(|listed| listed.name.clone()).collect()
    }

    /// Reports operations that no api has.
    pub(super) fn check(&self, operations: &Names, problems: &Problems<'_>) {
        for operation in self.list.iter().flat_map(|product| &product.operations) {
            operations.refer(*operation, problems);
        }
    }

    /// The products of a config without errors: all their operations are known.
    pub(super) fn into_list(self, known: &AHashMap<OperationId, Arc<Operation>>) -> Box<[Product]> {
        let operations = |texts: &[Text<'_>]| {
            let known = texts.iter().filter_map(|text| known.get(text.text));
            known.map(|operation| operation.id.clone()).collect()
        };
        let product = |listed: Listed<'_>| {
            Some(Product { operations: operations(&listed.operations), name: listed.name? })
        };
        self.list.into_iter().filter_map(product).collect()
    }
}
