//! Names and lines of columns that a schema file of the user's own may add.

/// Letters of a name at most, as the grammar has it.
const LONGEST: usize = 63;

/// A column's name from a name of the source or of a user: small letters, digits and `_`, unlike those that are taken. A name
/// without any such letter is that of `otherwise`.
pub fn column_name(text: &str, otherwise: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = snake_case(text);
    if name.is_empty() {
        name = snake_case(otherwise);
    }
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        name.insert_str(0, "field_");
    }
    name.truncate(LONGEST);
    let mut free = name.clone();
    let mut number = 2;
    while is_taken(&free) {
        let ending = format!("_{number}");
        free = format!("{}{ending}", &name[..name.len().min(LONGEST - ending.len())]);
        number += 1;
    }
    free
}

/// `loyaltyPoints` and `Loyalty points` are `loyalty_points`.
fn snake_case(text: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for letter in text.chars() {
        let plain = plain_letters(letter);
        if plain.is_empty() {
            if !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            }
        } else {
            if letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) && !name.ends_with('_') {
                name.push('_');
            }
            name.push_str(&plain);
        }
        before = letter;
    }
    name.trim_end_matches('_').to_owned()
}

/// A letter as ASCII: a Latin one without its marks, none for others.
fn plain_letters(letter: char) -> String {
    let small = letter.to_lowercase().next().unwrap_or(letter);
    if small.is_ascii_alphanumeric() {
        return small.to_string();
    }
    let plain = match small {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
        'æ' => "ae",
        'ç' => "c",
        'è' | 'é' | 'ê' | 'ë' => "e",
        'ì' | 'í' | 'î' | 'ï' => "i",
        'ñ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => "o",
        'œ' => "oe",
        'ß' => "ss",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'ý' | 'ÿ' => "y",
        _ => "",
    };
    plain.to_owned()
}

/// The line of a column in a schema file. The path has no quotes and no backslashes.
pub fn column_line(name: &str, from: &str, kind: &str) -> String {
    format!("{{ name = \"{name}\", from = \"{from}\", type = \"{kind}\" }}")
}

#[cfg(test)]
mod tests {
    use super::column_name;

    #[test]
    fn names_are_those_of_the_grammar_and_unlike_each_other() {
        let name = |text: &str| column_name(text, "PCF_12", |_| false);
        assert_eq!(name("loyaltyPoints"), "loyalty_points");
        assert_eq!(name("delivery.gateB"), "delivery_gate_b");
        assert_eq!(name("Größe \"EU\""), "grosse_eu");
        assert_eq!(name("SKU"), "sku");
        assert_eq!(name("備考"), "pcf_12");
        assert_eq!(name("2nd choice"), "field_2nd_choice");
        assert_eq!(name(&"a".repeat(80)).len(), 63);
        assert_eq!(column_name("color", "", |name| ["color", "color_2"].contains(&name)), "color_3");
    }
}
