// The fills of the catalogue as predictors: the subset of SQL that they are written in, compiled once and computed a column
// at a time, without SQLite.
//
// An expression outside the subset predicts nothing; that costs bytes, never values. The same holds where a result here
// differs from SQLite's: a real number, a text that is no number in a sum. What must not change unnoticed is the result for
// one and the same expression: then `version` is raised, and older segments wait for a program that has both.

indirect enum FillExpression: Equatable, Sendable {
    case column(Int)
    case text(String)
    case integer(Int64)
    case null
    case concatenate(FillExpression, FillExpression)
    case add(FillExpression, FillExpression)
    /// From 1, as in SQL; characters, not bytes.
    case substring(FillExpression, start: Int, length: Int?)
    case coalesce(FillExpression, FillExpression)
    case ifEqual(FillExpression, FillExpression, then: FillExpression, else: FillExpression)
    case toInteger(FillExpression)
    case codeName(FillExpression, FillExpression)
    case function(Function, FillExpression)

    enum Function: String, Sendable {
        case lower
        case idBirth = "id_birth"
        case idSex = "id_sex"
        case idRegion = "id_region"
        case pinyin
    }

    static let version = 1

    /// The field numbers that it reads.
    var sources: FieldMask {
        switch self {
        case .column(let field):
            var mask = FieldMask()
            mask.insert(field)
            return mask
        case .text, .integer, .null: return FieldMask()
        case .concatenate(let a, let b), .add(let a, let b), .coalesce(let a, let b), .codeName(let a, let b):
            return a.sources | b.sources
        case .substring(let a, _, _), .toInteger(let a), .function(_, let a): return a.sources
        case .ifEqual(let a, let b, let then, let other): return a.sources | b.sources | then.sources | other.sources
        }
    }

    private func uses(_ test: (FillExpression) -> Bool) -> Bool {
        if test(self) { return true }
        switch self {
        case .column, .text, .integer, .null: return false
        case .concatenate(let a, let b), .add(let a, let b), .coalesce(let a, let b), .codeName(let a, let b):
            return a.uses(test) || b.uses(test)
        case .substring(let a, _, _), .toInteger(let a), .function(_, let a): return a.uses(test)
        case .ifEqual(let a, let b, let then, let other):
            return a.uses(test) || b.uses(test) || then.uses(test) || other.uses(test)
        }
    }

    /// All fills that can be used, as the codec takes them.
    static func predictors(of forms: [Form], codeSets: [String: CodeSet]) -> Predictors {
        var all: [FormNumber: [Int: Predictor]] = [:]
        for form in forms {
            for field in form.fields {
                guard let fill = field.fill, let expression = FillExpression(fill, fields: form.fields),
                    !expression.sources.isEmpty
                else { continue }
                all[form.number, default: [:]][field.number] = expression.predictor(codeSets)
            }
        }
        return Predictors(all)
    }

    private func predictor(_ codeSets: [String: CodeSet]) -> Predictor {
        var identity = "v\(Self.version) \(self)"
        if uses({ if case .function(.pinyin, _) = $0 { true } else { false } }) { identity += " pinyin \(Pinyin.version)" }
        var tables: [String: [[UInt8]: [UInt8]]] = [:]
        if uses({ if case .codeName = $0 { true } else { false } }) {
            // A set may be named by a field's value: then it can be any.
            let named = codeSets.keys.filter { name in
                uses {
                    guard case .codeName(let set, _) = $0 else { return false }
                    guard case .text(let literal) = set else { return true }
                    return literal == name
                }
            }
            for name in named.sorted() {
                let set = codeSets[name]!
                let text = set.entries.map { "\($0.code)\t\($0.name)\n" }.joined()
                identity += " \(name) \(ContentHash(of: Array(text.utf8)))"
                tables[name] = Dictionary(
                    set.entries.map { (Array($0.code.utf8), Array($0.name.utf8)) }, uniquingKeysWith: { first, _ in first })
            }
        }
        let codes = tables
        return Predictor(sources: sources, identity: identity) { changes, sources in
            FillEvaluation(changes: changes, sources: sources, codes: codes).cells(self)
        }
    }
}

// MARK: Reading

extension FillExpression {
    /// - Parameter fields: of the form; names stand for them, bare or after `this.`
    /// - Returns: nil for anything outside the subset.
    init?(_ sql: String, fields: [Field]) {
        guard let tokens = Token.all(in: sql) else { return nil }
        var parser = Parser(tokens: tokens[...], fields: Dictionary(uniqueKeysWithValues: fields.map { ($0.id, $0.number) }))
        guard let expression = parser.expression(), parser.tokens.isEmpty else { return nil }
        self = expression
    }

    private enum Token: Equatable {
        case word(String)
        case text(String)
        case integer(Int64)
        case sign(String)

        static func all(in sql: String) -> [Token]? {
            var tokens: [Token] = []
            var rest = Substring(sql)
            func isWord(_ c: Character) -> Bool { c.isASCII && (c.isLetter || c.isNumber || c == "_" || c == ".") }
            while let first = rest.first {
                if first.isWhitespace {
                    rest.removeFirst()
                } else if first == "'" {
                    var text = ""
                    while rest.first == "'" {
                        rest.removeFirst()
                        guard let end = rest.firstIndex(of: "'") else { return nil }
                        text += rest[..<end]
                        rest = rest[rest.index(after: end)...]
                        // Two quotes inside a text stand for one.
                        if rest.first == "'" { text += "'" }
                    }
                    tokens.append(.text(text))
                } else if isWord(first) {
                    let word = rest.prefix(while: isWord)
                    rest = rest[word.endIndex...]
                    if first.isNumber {
                        guard let value = Int64(word) else { return nil }
                        tokens.append(.integer(value))
                    } else {
                        tokens.append(.word(String(word)))
                    }
                } else if rest.hasPrefix("||") {
                    tokens.append(.sign("||"))
                    rest = rest.dropFirst(2)
                } else if "(),+=".contains(first) {
                    tokens.append(.sign(String(first)))
                    rest.removeFirst()
                } else {
                    return nil
                }
            }
            return tokens
        }
    }

    private struct Parser {
        var tokens: ArraySlice<Token>
        let fields: [String: Int]
        /// Bounds what a catalogue can ask of memory and stack.
        var nodesLeft = 32

        private mutating func take(_ token: Token) -> Bool {
            guard tokens.first == token else { return false }
            tokens.removeFirst()
            return true
        }
        private mutating func take(keyword: String) -> Bool {
            guard case .word(let word)? = tokens.first, word.uppercased() == keyword else { return false }
            tokens.removeFirst()
            return true
        }

        /// As in SQL, || binds closer than +.
        mutating func expression() -> FillExpression? {
            guard var left = concatenation() else { return nil }
            while take(.sign("+")) {
                guard let right = concatenation() else { return nil }
                left = .add(left, right)
            }
            return left
        }

        private mutating func concatenation() -> FillExpression? {
            guard var left = primary() else { return nil }
            while take(.sign("||")) {
                guard let right = primary() else { return nil }
                left = .concatenate(left, right)
            }
            return left
        }

        private mutating func primary() -> FillExpression? {
            nodesLeft -= 1
            guard nodesLeft > 0, let token = tokens.popFirst() else { return nil }
            switch token {
            case .text(let text): return .text(text)
            case .integer(let value): return .integer(value)
            case .sign("("):
                guard let inner = expression(), take(.sign(")")) else { return nil }
                return inner
            case .sign: return nil
            case .word(let word):
                switch word.uppercased() {
                case "NULL": return .null
                case "CASE": return choice()
                case "CAST":
                    guard take(.sign("(")), let inner = expression(), take(keyword: "AS"), take(keyword: "INTEGER"),
                        take(.sign(")"))
                    else { return nil }
                    return .toInteger(inner)
                default:
                    if take(.sign("(")) { return call(word.lowercased()) }
                    return fields[word.hasPrefix("this.") ? String(word.dropFirst(5)) : word].map { .column($0) }
                }
            }
        }

        /// CASE WHEN a = b THEN c [ELSE d] END
        private mutating func choice() -> FillExpression? {
            guard take(keyword: "WHEN"), let a = expression(), take(.sign("=")), let b = expression(),
                take(keyword: "THEN"), let then = expression()
            else { return nil }
            var other = FillExpression.null
            if take(keyword: "ELSE") {
                guard let expression = expression() else { return nil }
                other = expression
            }
            return take(keyword: "END") ? .ifEqual(a, b, then: then, else: other) : nil
        }

        private mutating func call(_ name: String) -> FillExpression? {
            var arguments: [FillExpression] = []
            repeat {
                guard let argument = expression() else { return nil }
                arguments.append(argument)
            } while take(.sign(","))
            guard take(.sign(")")) else { return nil }
            switch (name, arguments.count) {
            case ("substr", 2...3), ("substring", 2...3):
                guard case .integer(let start) = arguments[1], start >= 1, start < 1 << 20 else { return nil }
                guard arguments.count == 3 else { return .substring(arguments[0], start: Int(start), length: nil) }
                guard case .integer(let length) = arguments[2], length >= 0, length < 1 << 20 else { return nil }
                return .substring(arguments[0], start: Int(start), length: Int(length))
            case ("coalesce", 2...), ("ifnull", 2):
                return arguments.dropLast().reversed().reduce(arguments.last!) { .coalesce($1, $0) }
            case ("code_name", 2): return .codeName(arguments[0], arguments[1])
            case (_, 1): return Function(rawValue: name).map { .function($0, arguments[0]) }
            default: return nil
            }
        }
    }
}
