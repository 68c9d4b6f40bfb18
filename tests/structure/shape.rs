//! How large files and functions are, whether what is public is documented, and what stands twice.
//!
//! The limits are the house's: nine files in ten below 400 lines, nine functions in ten below 40. `TIDINGS_SHAPE_OF`
//! measures another checkout instead, to compare with.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Visibility};

/// Lines that nine files in ten stay below.
const FILE_P90_MAX: usize = 400;
/// Lines that nine functions in ten stay below.
const FUNCTION_P90_MAX: usize = 40;
/// As many lines in a row, alike to the letter, are a repetition.
const REPEATED_LINES_MIN: usize = 6;
/// Pairs of places that share as many lines.
const REPEATED_PAIRS_MAX: usize = 60;

#[test]
fn files_and_functions_are_small_documented_and_written_once() {
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let other = std::env::var_os("TIDINGS_SHAPE_OF").map(PathBuf::from);
    let shape = Shape::of(other.as_deref().unwrap_or(here));
    println!("{shape}");
    if other.is_some() {
        return;
    }
    assert!(shape.files.p90() < FILE_P90_MAX && shape.functions.p90() < FUNCTION_P90_MAX);
    assert!(shape.undocumented.is_empty(), "not documented: {}", shape.undocumented.join(", "));
    assert!(shape.repeated.len() <= REPEATED_PAIRS_MAX, "{}", shape.repeated.join("\n"));
}

#[test]
fn what_stands_twice_is_found_once_however_long_it_is() {
    let lines = |text: &str| significant(text);
    let shared = "let a = 1;\nlet b = 2;\nlet c = 3;\nlet d = 4;\nlet e = 5;\nlet f = 6;\nlet g = 7;\n";
    let files = [("one".to_owned(), lines(shared)), ("two".to_owned(), lines(&format!("let x = 0;\n\n{shared}")))];
    assert_eq!(repetitions(&files), ["one:1 ~ two:3, 7 lines"]);
    let short = shared.lines().take(REPEATED_LINES_MIN - 1).collect::<Vec<_>>().join("\n");
    assert!(repetitions(&[files[0].clone(), ("two".to_owned(), lines(&short))]).is_empty());
}

/// Numbers of lines, sorted.
struct Sizes(Vec<usize>);

impl Sizes {
    fn part(&self, tenths: usize) -> usize {
        self.0.get((self.0.len() * tenths / 10).min(self.0.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    fn p90(&self) -> usize {
        self.part(9)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, lines: median {}, p90 {}, max {}", self.0.len(), self.part(5), self.p90(), self.part(10))
    }
}

struct Shape {
    files: Sizes,
    functions: Sizes,
    public: usize,
    undocumented: Vec<String>,
    repeated: Vec<String>,
}

impl Shape {
    fn of(root: &Path) -> Self {
        let (mut files, mut items, mut texts) = (Vec::new(), Items::default(), Vec::new());
        for path in sources(root) {
            let text = fs::read_to_string(&path).unwrap();
            files.push(text.lines().count());
            items.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            texts.push((path.strip_prefix(root).unwrap().display().to_string(), significant(&text)));
        }
        files.sort_unstable();
        items.functions.sort_unstable();
        Self {
            files: Sizes(files),
            functions: Sizes(items.functions),
            public: items.public,
            undocumented: items.undocumented,
            repeated: repetitions(&texts),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "files: {}", self.files)?;
        writeln!(f, "functions: {}", self.functions)?;
        writeln!(f, "public items documented: {} of {}", self.public - self.undocumented.len(), self.public)?;
        let repeated = self.repeated.len();
        write!(f, "pairs of places that share {REPEATED_LINES_MIN} lines or more: {repeated}")
    }
}

fn sources(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[derive(Default)]
struct Items {
    functions: Vec<usize>,
    public: usize,
    undocumented: Vec<String>,
}

impl Items {
    fn function(&mut self, block: &syn::Block) {
        let (from, to) = (block.span().start().line, block.span().end().line);
        self.functions.push(to.saturating_sub(from + 1).max(1));
    }

    fn item(&mut self, visibility: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if matches!(visibility, Visibility::Public(_)) {
            self.public += 1;
            if !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
                self.undocumented.push(name.to_string());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.block);
        self.item(&item.vis, &item.attrs, &item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.block);
        self.item(&item.vis, &item.attrs, &item.sig.ident);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.item(&item.vis, &item.attrs, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.item(&item.vis, &item.attrs, &item.ident);
        for variant in &item.variants {
            self.item(&item.vis, &variant.attrs, &variant.ident);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.item(&item.vis, &item.attrs, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(name) = &field.ident {
            self.item(&field.vis, &field.attrs, name);
        }
    }
}

/// A line with its number.
type Line = (usize, String);

/// The lines that say something: not empty, no comment, no import, no lone bracket.
fn significant(text: &str) -> Vec<Line> {
    let lines = (1..).zip(text.lines().map(|line| line.trim().to_owned()));
    let says = |line: &str| line.chars().filter(|c| c.is_alphanumeric()).count() > 2;
    let counts = |line: &str| says(line) && !line.starts_with("//") && !line.starts_with("use ");
    lines.filter(|(_, line)| counts(line)).collect()
}

/// Pairs of places that share lines in a row, each as long as it goes.
fn repetitions(files: &[(String, Vec<Line>)]) -> Vec<String> {
    let mut places: HashMap<Vec<&str>, Vec<(usize, usize)>> = HashMap::new();
    for (file, (_, lines)) in files.iter().enumerate() {
        for (at, window) in lines.windows(REPEATED_LINES_MIN).enumerate() {
            places.entry(window.iter().map(|(_, line)| line.as_str()).collect()).or_default().push((file, at));
        }
    }
    let pairs = places.values().flat_map(|places| {
        places.iter().enumerate().flat_map(|(n, one)| places[n + 1..].iter().map(move |two| (*one, *two)))
    });
    let pairs = pairs.collect::<BTreeSet<_>>();
    let continues = |((f, a), (g, b)): ((usize, usize), (usize, usize))| {
        a > 0 && b > 0 && pairs.contains(&((f, a - 1), (g, b - 1)))
    };
    let begins = pairs.iter().filter(|pair| !continues(**pair));
    let mut found = begins
        .map(|((f, a), (g, b))| {
            let more = (1..).take_while(|n| pairs.contains(&((*f, a + n), (*g, b + n)))).count();
            let place = |file: usize, at: usize| format!("{}:{}", files[file].0, files[file].1[at].0);
            format!("{} ~ {}, {} lines", place(*f, *a), place(*g, *b), more + REPEATED_LINES_MIN)
        })
        .collect::<Vec<_>>();
    found.sort();
    found
}
