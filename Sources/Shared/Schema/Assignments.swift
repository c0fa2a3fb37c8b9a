// "栏=值" as people write it, at the terminal and in a workbook of cases: the one place where it is read.

extension Form {
    /// "field=value" words → field index and value. A field is its column or its Chinese heading, several choices are one field.
    ///
    /// - Throws: `Failure(.usage)` for a word of another form, an unknown field, or a field that is named twice, by whatever of its names:
    ///   which of the two values is meant nobody can know. `Failure(.refused)` for what cannot be a value of its field.
    package func assignments(_ words: [String], catalogue: Catalogue) throws(Failure) -> [Int: Value] {
        let normaliser = Normaliser(catalogue: catalogue)
        var values: [Int: Value] = [:]
        var said: [Int: String] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else {
                throw Failure(.usage, "'\(word)' is not of the form field=value.", next: "For example: \(fields[0].id)=...")
            }
            let (name, typed) = (String(word[..<equals]), String(word[word.index(after: equals)...]))
            let choice = choiceField(named: name)
            let index = choice == nil ? try field(named: name) : 0
            let new: [Int: Value]
            do throws(EntryProblem) {
                new = if let choice { try choice.values(typed) } else { [index: try normaliser.value(typed, for: fields[index])] }
            } catch {
                throw Failure(.refused, "\(error.message)（\(error.fix)）.", next: "Mend the value and repeat; nothing was written.")
            }
            for field in new.keys.sorted() {
                guard let before = said.updateValue(word, forKey: field) else { continue }
                throw Failure(
                    .usage, "\(choice?.title ?? fields[field].title) is named twice: '\(before)' and '\(word)'.",
                    next: "Leave one of them and repeat.")
            }
            values.merge(new) { _, new in new }
        }
        return values
    }
}
