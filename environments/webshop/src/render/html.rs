//! Upstream's `html` mode: the page's source. Written from its recorded pages; addresses are the ones of its gym, where
//! every link leads to the start page with a query. What a script of the page shows when an option is clicked, the
//! images of option values, is not in a catalogue: the script's table of them is empty.

use crate::page::options_json;
use crate::product::Product;
use crate::python;
use crate::session::{Page, Session, SubPage};
use crate::shop::Shop;

/// The current page.
pub fn html(shop: &Shop, instruction: &str, session: &Session) -> String {
    let mut out = Source(String::new());
    let product = session.item().map(|item| shop.catalogue().product(item));
    match (session.page(), product) {
        (Page::Index, _) => index(&mut out, instruction, session),
        (Page::Done(score), product) => {
            let asin = product.map_or_else(String::new, |product| product.asin.clone());
            done(&mut out, &asin, session, score);
        }
        (Page::Results, _) => results(&mut out, shop, instruction, session),
        (Page::Item, Some(product)) => item(&mut out, &product, instruction, session),
        (Page::Sub(sub), Some(product)) => sub_page(&mut out, &product, sub, instruction, session),
        (Page::Item | Page::Sub(_), None) => out.head(instruction, session),
    }
    out.0.truncate(out.0.trim_end_matches('\n').len());
    out.0
}

/// The source as it is written line by line.
struct Source(String);

impl Source {
    fn lines(&mut self, lines: &[&str]) {
        for line in lines {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }

    /// What the pages behind the start page begin with.
    fn head(&mut self, instruction: &str, session: &Session) {
        self.lines(&[
            "<!DOCTYPE html>",
            "<html>",
            "  <head>",
            "    <link rel=\"stylesheet\" href=\"/static/style.css\">",
            "    <link rel=\"stylesheet\" href=\"https://maxcdn.bootstrapcdn.com/bootstrap/3.4.1/css/bootstrap.min.css\">",
            "    <link rel=\"stylesheet\" href=\"https://cdnjs.cloudflare.com/ajax/libs/font-awesome/4.0.3/css/font-awesome.css\t\">",
            "    <script src=\"https://ajax.googleapis.com/ajax/libs/jquery/3.5.1/jquery.min.js\"></script>",
            "    <script src=\"https://stackpath.bootstrapcdn.com/bootstrap/4.3.1/js/bootstrap.bundle.min.js\"></script>",
            "    <link rel=\"icon\" href=\"data:,\">",
            "  </head>",
            "  <body>",
            "    <div class=\"container py-5\">",
            "      <div class=\"row top-buffer\">",
            "        <div class=\"col-sm-6\">",
            "          <div id=\"instruction-text\" class=\"text-center\">",
        ]);
        self.line(&format!("            <h4>Instruction:<br>{}</h4>", escaped(instruction)));
        self.lines(&["          </div>", "        </div>", "      </div>"]);
        self.button("success", "Back to Search", &Address::of(session));
    }

    /// A button in a row of its own.
    fn button(&mut self, kind: &str, label: &str, address: &Address) {
        self.lines(&[
            "      <div class=\"row top-buffer\">",
            &format!("        <form method=\"post\" action=\"{}\">", address.text()),
            &format!("          <button type=\"submit\" class=\"btn btn-{kind}\">{label}</button>"),
            "        </form>",
            "      </div>",
        ]);
    }

    fn foot(&mut self) {
        self.lines(&["    </div>", "  </body>", "</html>"]);
    }
}

/// What comes before the first line that differs on the start page and on the last one.
fn first_and_last(out: &mut Source) {
    out.lines(&[
        "<!DOCTYPE html>",
        "<html>",
        "  <head>",
        "    <link rel=\"stylesheet\" href=\"/static/style.css\">",
        "    <link rel=\"stylesheet\" href=\"https://cdnjs.cloudflare.com/ajax/libs/font-awesome/4.7.0/css/font-awesome.min.css\">",
        "    <link rel=\"stylesheet\" href=\"https://maxcdn.bootstrapcdn.com/bootstrap/3.4.1/css/bootstrap.min.css\">",
        "    <link rel=\"icon\" href=\"data:,\">",
        "  </head>",
        "  <body>",
        "    <!-- Code reference: https://bootsnipp.com/snippets/m13mN -->",
        "    <div class=\"container\" style=\"margin-top: 8%;\">",
        "      <div class=\"col-md-6 col-md-offset-3\">     ",
        "        <div class=\"row\">",
    ]);
}

fn index(out: &mut Source, instruction: &str, session: &Session) {
    first_and_last(out);
    out.lines(&[
        "          <div id=\"logo\" class=\"text-center\">",
        "            <h2>WebShop</h2>",
        "          </div>",
        "          <div id=\"instruction-text\" class=\"text-center\">",
        &format!("            <h4>Instruction: <br>{}</h4>", escaped(instruction)),
        "          </div>",
        &format!(
            "          <form role=\"form\" id=\"form-buscar\" method=\"post\" action=\"{}\">",
            Address::of(session).text()
        ),
        "            <div class=\"form-group\">",
        "              <div class=\"input-group\">",
        "                <input id=\"search_input\" class=\"form-control\" type=\"text\" name=\"search_query\" placeholder=\"Search...\" required/>",
        "                <span class=\"input-group-btn\">",
        "                  <button class=\"btn btn-success\" type=\"submit\"><i class=\"glyphicon glyphicon-search\" aria-hidden=\"true\"></i>Search</button>",
        "                </span>",
        "              </div>",
        "            </div>",
        "          </form>",
        "        </div>            ",
        "      </div>",
    ]);
    out.foot();
}

fn results(out: &mut Source, shop: &Shop, instruction: &str, session: &Session) {
    let number = session.number();
    let page = |number: u32| Address::of(session).words(session).with("page", &number.to_string());
    out.head(instruction, session);
    out.lines(&[
        "      <div class=\"row top-buffer\">",
        "        <div class=\"col-sm-8\">",
        "          <div class=\"display-4\">",
        &format!("            <h3>Page {number} (Total results: {})</h3>", session.total()),
        "          </div>",
        "          ",
        "            <div class=\"col-sm-2\">",
    ]);
    if number > 1 {
        out.lines(&[
            &format!("              <form method=\"post\" action=\"{}\">", page(number - 1).text()),
            "                <button type=\"submit\" class=\"btn btn-primary\">&lt; Prev</button>",
            "              </form>",
        ]);
    }
    out.lines(&[
        "            </div>",
        "            <div class=\"col-sm-2\">",
        &format!("              <form method=\"post\" action=\"{}\">", page(number.saturating_add(1)).text()),
        "                <button type=\"submit\" class=\"btn btn-primary\">Next &gt;</button>",
        "              </form>",
        "            </div>",
        "          ",
        "        </div>",
        "      </div>",
        "",
        "      <div class=\"row top-buffer\">",
        "        ",
    ]);
    for &shown in session.shown() {
        let Product { asin, title, price_tag, image, category, query, product_category, .. } =
            &*shop.catalogue().product(shown);
        let address =
            Address::of(session).with("asin", asin).words(session).with("page", &number.to_string());
        let (kind, between) = ("font-weight-bold my-2", "align-items-center justify-content-between mt-1");
        let row = |name: &str, text: &str| {
            [
                format!("                    <div class=\"d-flex {between}\">"),
                format!("                      <h5 class=\"{kind} product-{name}\">{}</h5>", escaped(text)),
                "                    </div>".to_owned(),
            ]
            .join("\n")
        };
        out.lines(&[
            "        <div class=\"col-lg-12 mx-auto list-group-item\">",
            "          <div class=\"col-lg-4\">",
            &format!("            <img src=\"{}\" class=\"result-img\">", escaped(image)),
            "          </div>",
            "          <div class=\"col-lg-8\">",
            "            <ul class=\"list-group shadow\">",
            "                <div class=\"media align-items-lg-center flex-column flex-lg-row p-3\">",
            "                  <div class=\"media-body order-2 order-lg-1 searched-product\">",
            "                    ",
            &format!(
                "                    <h4 class=\"mt-0 font-weight-bold mb-2 product-asin\"><a class=\"product-link\" href=\"{}\">{}</a></h5>",
                address.with("options", "{}").text(),
                escaped(asin)
            ),
            &format!(
                "                    <h4 class=\"mt-0 font-weight-bold mb-2 product-title\">{}</h5>",
                escaped(title)
            ),
            &format!("                    <div class=\"d-flex {between}\">"),
            &format!("                      <h5 class=\"{kind} product-price\">{}</h6>", escaped(price_tag)),
            "                    </div>",
            "<!--",
            &row("category", category),
            &row("query", query),
            &row("product_category", product_category),
            "-->",
            "                  </div>",
            "                </div>",
            "            </ul>",
            "          </div>",
            "        </div>",
            "        ",
        ]);
    }
    out.line("      </div>");
    out.foot();
}

fn item(out: &mut Source, product: &Product, instruction: &str, session: &Session) {
    let number = session.number().to_string();
    let here = || Address::of(session).with("asin", &product.asin).words(session).with("page", &number);
    let chosen = python::dict(session.options());
    out.head(instruction, session);
    out.button("primary", "&lt; Prev", &Address::of(session).words(session).with("page", &number));
    out.lines(&[
        "      <div class=\"row top-buffer\">",
        "        <div class=\"col-md-4 mb-4 mb-md-0\">",
        "          <div class=\"row top-buffer\">",
        &format!(
            "            <img id=\"product-image\" src=\"{}\" class=\"item-page-img\">",
            escaped(&product.image)
        ),
        "          </div>",
        "          ",
    ]);
    for (name, values) in &product.options {
        out.lines(&[
            "            <div class=\"row top-buffer\">",
            &format!("              <h4>{}</h4>", escaped(name)),
            "              <div class=\"radio-toolbar\">",
            "                ",
        ]);
        let name_escaped = escaped(name);
        for (at, value) in values.iter().enumerate() {
            let mut options = session.options().to_vec();
            match options.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => options.push((name.clone(), value.clone())),
            }
            let address = here().with("options", &python::dict(&options));
            let value = escaped(value);
            out.lines(&[
                "                  ",
                "                  ",
                "                  ",
                &format!(
                    "                  <input type=\"radio\" id=\"radio_{name_escaped}{at}\" name=\"{name_escaped}\" value=\"{value}\" data-url=\"{}\">",
                    address.text()
                ),
                &format!("                  <label for=\"radio_{name_escaped}{at}\">{value}</label>"),
                "                ",
            ]);
        }
        out.lines(&["              </div>", "            </div>", "          "]);
    }
    out.lines(&[
        "        </div>",
        "        <div class=\"col-md-6\">",
        &format!("          <h2>{}</h2>", escaped(&product.title)),
        &format!("          <h4>Price: {}</h4>", escaped(&product.price_tag)),
        "          <h4>Rating: N.A.</h4>",
        "          <div class=\"row top-buffer\">",
    ]);
    for (class, sub) in [
        ("description", SubPage::Description),
        ("bulletpoints", SubPage::Features),
        ("reviews", SubPage::Reviews),
    ] {
        let address = here().with("sub_page", sub.name()).with("options", &chosen);
        out.lines(&[
            &format!("            <div class=\"col-sm-3\" name=\"{class}\">"),
            &format!("              <form method=\"post\" action=\"{}\">", address.text()),
            &format!(
                "                <button class=\"btn btn-primary\" type=\"submit\">{}</button>",
                sub.name()
            ),
            "              </form>",
            "            </div>",
        ]);
    }
    let buy = Address::of(session).with("asin", &product.asin).with("options", &chosen);
    out.lines(&[
        "            ",
        "          </div>",
        "        </div>",
        "        <div class=\"col-sm-2\">",
        "          <div class=\"row top-buffer\">",
        &format!("            <form method=\"post\" action=\"{}\">", buy.text()),
        "              <button type=\"submit\" class=\"btn btn-lg purchase\">Buy Now</button>",
        "            </form>",
        "          </div>",
        "        </div>",
        "      </div>",
        "    </div>",
        "  </body>",
        "  <script>",
        "    $(document).ready(function() {",
        "      $('input:radio').each(function() {",
        "        //console.log($(this).val());",
        &format!("        let options = JSON.parse(`{}`);", options_json(session.options())),
        "        let optionValues = $.map(options, function(value, key) { return value });",
        "        //console.log(optionValues);",
        "        if (optionValues.includes($(this).val())) {",
        "          $(this).prop('checked', true);",
        "",
        "          let option_to_image = JSON.parse(`{}`);",
        "//          console.log($(this).val());",
        "//          console.log(options);",
        "//          console.log(option_to_image);",
        "          let image_url = option_to_image[$(this).val()];",
        "",
        "          //console.log(image_url);",
        "          if (image_url) {",
        "            $(\"#product-image\").attr(\"src\", image_url);",
        "          }",
        "        }",
        "        ",
        "        // reload with updated options",
        "        this.addEventListener(\"click\", function() {",
        "          window.location.href = this.dataset.url;",
        "        });",
        "",
        "      });",
        "    });",
        "  </script>",
        "</html>",
    ]);
}

fn sub_page(out: &mut Source, product: &Product, sub: SubPage, instruction: &str, session: &Session) {
    let back = Address::of(session)
        .with("asin", &product.asin)
        .words(session)
        .with("page", &session.number().to_string())
        .with("options", &python::dict(session.options()));
    out.head(instruction, session);
    out.button("primary", "&lt; Prev", &back);
    let name = match sub {
        SubPage::Description => "description",
        SubPage::Features => "bulletpoints",
        SubPage::Reviews => "reviews",
        SubPage::Attributes => "attributes",
    };
    out.lines(&[
        "      <div class=\"row top-buffer\">",
        "        <div class=\"col-md-12\">",
        "          <div class=\"row top-buffer\">",
        &format!("            <div class=\"col-sm-6\" name=\"{name}\">"),
        "              <div class=\"card card-body\">",
    ]);
    let list = |out: &mut Source, class: &str, items: &[String]| {
        out.lines(&["                <ul>", "                  "]);
        for item in items {
            out.line(&format!("                  <li><p class=\"{class}\"> {}</p></li>", escaped(item)));
            out.line("                  ");
        }
        out.line("                </ul>");
    };
    match sub {
        SubPage::Description => {
            out.line(&format!(
                "                <p class=\"product-info\">{}</p>",
                escaped(&product.description)
            ));
        }
        SubPage::Features => list(out, "product-info", &product.bullets),
        SubPage::Reviews => out.line("                "),
        // No recorded page shows these; no button leads to them.
        SubPage::Attributes => {
            list(out, "attribute", &product.attributes);
            for text in [&product.category, &product.query, &product.product_category] {
                out.line(&format!("                <h5>{}</h5>", escaped(text)));
            }
        }
    }
    out.lines(&[
        "              </div>",
        "            </div>",
        "          </div>",
        "        </div>",
        "      </div>",
    ]);
    out.foot();
}

fn done(out: &mut Source, asin: &str, session: &Session, score: f64) {
    first_and_last(out);
    out.lines(&[
        "          <div id=\"thankyou\" class=\"text-center\">",
        "            <h1>Thank you for shopping with us!</h1>",
        "          </div>",
        "          <div id=\"stats\" class=\"text-center\">",
        "            <h3 align=\"mturk_code\">Your code: </h3>",
        "            <p><pre>None</pre> (Paste it in your MTurk interface.)</p>",
        "            <div style=\"display:none\">",
        "              <h2 align=\"left\">Purchased</h2>",
        "              <hr class=\"solid\">",
        &format!("              <h4 id=\"asin\">asin<pre>{}</pre></p>", escaped(asin)),
        &format!(
            "              <h4 id=\"options\">options<pre>{}</pre></h4>",
            options_json(session.options())
        ),
    ]);
    for (id, name) in [
        ("purchased_attrs", "attrs"),
        ("purchased-category", "category"),
        ("purchased-query", "query"),
        ("purchased-pc", "product category"),
    ] {
        out.line(&format!("              <h4 id=\"{id}\">{name}<pre>None</pre></h4>"));
    }
    out.lines(&[
        "              <h2 align=\"left\">Target</h2>",
        "              <hr class=\"solid\">",
        "              <h4 id=\"goal-asin\">asin<pre></pre></p>",
    ]);
    for (id, name) in [
        ("options", "options"),
        ("attrs", "attrs"),
        ("price", "price upper"),
        ("instruction-text", "instuction text"),
        ("category", "category"),
        ("pc", "product category"),
        ("query", "query"),
    ] {
        out.line(&format!("              <h4 id=\"goal-{id}\">{name}<pre></pre></h4>"));
    }
    out.lines(&[
        "              <h4>Goal <div id=\"goal\"><pre>None</pre></div></h4>",
        "              <h2 align=\"left\">Reward</h2>",
        "            </div>",
        "            <hr class=\"solid\">",
        &format!(
            "      \t\t\t<h3   id=\"reward\">Your score (min 0.0, max 1.0)<pre>{}</pre></h3>",
            python::float(score)
        ),
        "            <h4 hidden>Reward Details <div id=\"reward_info\"><pre>None</pre></div></h4>",
        "          </div>",
        "        </div>            ",
        "      </div>",
    ]);
    out.foot();
}

/// An address within the site.
struct Address(String);

impl Address {
    fn of(session: &Session) -> Self {
        Self("/?".into()).with("session_id", session.name())
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        if !self.0.ends_with('?') {
            self.0.push('&');
        }
        self.0 += key;
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b' ' => self.0.push('+'),
                b if b.is_ascii_alphanumeric() || b"_.-~!$'()*,/:;?@".contains(&b) => self.0.push(b.into()),
                b => self.0 += &format!("%{b:02X}"),
            }
        }
        self
    }

    /// The words that were searched.
    fn words(self, session: &Session) -> Self {
        session.words().iter().fold(self, |address, word| address.with("keywords", word))
    }

    /// As an attribute has it.
    fn text(&self) -> String {
        escaped(&self.0)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&#34;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}
