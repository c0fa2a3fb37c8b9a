/// Computes an expression for all changes at once: whole columns in, a whole column out, no object a cell.
struct FillEvaluation {
    let changes: Int
    /// By field number; every source of the expression is there.
    let sources: [Int: CellColumn]
    let codes: [String: [[UInt8]: [UInt8]]]

    func cells(_ expression: FillExpression) -> CellColumn {
        switch expression {
        case .column(let field): return sources[field]!
        case .text(let text):
            var text = text
            return text.withUTF8 { bytes in make { out, _ in out.append(utf8: bytes) } }
        case .integer(let value): return make { out, _ in out.append(integer: value) }
        case .null: return make { out, _ in out.appendNull() }
        case .concatenate(let a, let b): return concatenate(cells(a), cells(b))
        case .add(let a, let b):
            let (a, b) = (cells(a), cells(b))
            return make { out, i in
                guard let x = a.integer(i), let y = b.integer(i), case let (sum, overflow) = x.addingReportingOverflow(y),
                    !overflow
                else { return out.appendNull() }
                out.append(integer: sum)
            }
        case .substring(let a, let start, let length):
            return map(cells(a)) { text, out in
                let from = Self.offset(of: start - 1, in: text, from: 0)
                let to = length.map { Self.offset(of: $0, in: text, from: from) } ?? text.count
                out.append(utf8: UnsafeBufferPointer(rebasing: text[from..<to]))
            }
        case .coalesce(let a, let b):
            let (a, b) = (cells(a), cells(b))
            return make { out, i in out.append(a.tags[i] == CellColumn.Tag.null.rawValue ? b : a, at: i) }
        case .ifEqual(let a, let b, let then, let other):
            let (a, b, then, other) = (cells(a), cells(b), cells(then), cells(other))
            return make { out, i in
                let isEqual = a.tags[i] != CellColumn.Tag.null.rawValue && a.equals(b, at: i)
                out.append(isEqual ? then : other, at: i)
            }
        case .toInteger(let a):
            let a = cells(a)
            return make { out, i in
                if let value = a.integer(i) { out.append(integer: value) } else { out.appendNull() }
            }
        case .codeName(let set, let code): return codeNames(set, cells(code))
        case .function(let function, let a): return apply(function, cells(a))
        }
    }

    private func make(_ cell: (inout CellColumn, Int) -> Void) -> CellColumn {
        var out = CellColumn()
        out.reserve(changes)
        for i in 0..<changes { cell(&out, i) }
        return out
    }

    /// Texts and integers as text; other cells give null.
    private func map(
        _ column: CellColumn, _ cell: (UnsafeBufferPointer<UInt8>, inout CellColumn) -> Void
    ) -> CellColumn {
        column.bytes.withUnsafeBufferPointer { arena in
            make { out, i in
                switch CellColumn.Tag(rawValue: column.tags[i])! {
                case .text: cell(UnsafeBufferPointer(rebasing: arena[column.textRange(i)]), &out)
                case .integer:
                    var digits = String(column.words[i])
                    digits.withUTF8 { cell($0, &out) }
                case .null, .real: out.appendNull()
                }
            }
        }
    }

    private func concatenate(_ a: CellColumn, _ b: CellColumn) -> CellColumn {
        var scratch: [UInt8] = []
        func add(_ column: CellColumn, _ i: Int) -> Bool {
            switch CellColumn.Tag(rawValue: column.tags[i])! {
            case .text: scratch.append(contentsOf: column.bytes[column.textRange(i)])
            case .integer: scratch.append(contentsOf: String(column.words[i]).utf8)
            case .null, .real: return false
            }
            return true
        }
        return make { out, i in
            scratch.removeAll(keepingCapacity: true)
            guard add(a, i), add(b, i) else { return out.appendNull() }
            scratch.withUnsafeBufferPointer { out.append(utf8: $0) }
        }
    }

    /// Where the n-th character after `from` begins, at most the end.
    private static func offset(of characters: Int, in text: UnsafeBufferPointer<UInt8>, from: Int) -> Int {
        var at = from
        var left = characters
        while left > 0, at < text.count {
            at += 1
            while at < text.count, text[at] & 0xC0 == 0x80 { at += 1 }
            left -= 1
        }
        return at
    }

    private func codeNames(_ set: FillExpression, _ code: CellColumn) -> CellColumn {
        var key: [UInt8] = []
        func name(_ table: [[UInt8]: [UInt8]]?, _ text: UnsafeBufferPointer<UInt8>, _ out: inout CellColumn) {
            key.removeAll(keepingCapacity: true)
            key.append(contentsOf: text)
            guard let name = table?[key] else { return out.appendNull() }
            name.withUnsafeBufferPointer { out.append(utf8: $0) }
        }
        if case .text(let set) = set {
            let table = codes[set]
            return map(code) { name(table, $0, &$1) }
        }
        let sets = cells(set)
        var i = 0
        return map(code) { text, out in
            // `map` calls for texts and integers alone: find the row again.
            while code.tags[i] == CellColumn.Tag.null.rawValue || code.tags[i] == CellColumn.Tag.real.rawValue { i += 1 }
            guard case .text(let set) = sets[i] else { out.appendNull(); i += 1; return }
            name(codes[set], text, &out)
            i += 1
        }
    }

    private func apply(_ function: FillExpression.Function, _ column: CellColumn) -> CellColumn {
        var scratch: [UInt8] = []
        return map(column) { text, out in
            scratch.removeAll(keepingCapacity: true)
            var isKnown = true
            switch function {
            case .lower: for byte in text { scratch.append(0x41...0x5A ~= byte ? byte + 0x20 : byte) }
            case .idBirth:
                if let birth = CitizenNumber.birth(text) { scratch = birth } else { isKnown = false }
            case .idSex:
                if let sex = CitizenNumber.sex(text) { scratch.append(sex) } else { isKnown = false }
            case .idRegion:
                // Never half a character.
                isKnown = text.count == 18 && text.prefix(6).allSatisfy { $0 < 0x80 }
                if isKnown { scratch.append(contentsOf: text.prefix(6)) }
            case .pinyin: isKnown = Pinyin.appendName(text, to: &scratch)
            }
            guard isKnown else { return out.appendNull() }
            scratch.withUnsafeBufferPointer { out.append(utf8: $0) }
        }
    }
}

extension CellColumn {
    /// The cell as an integer, a text by its leading digits as in SQL's CAST; nil for other cells and for too many digits.
    fileprivate func integer(_ cell: Int) -> Int64? {
        switch Tag(rawValue: tags[cell])! {
        case .integer: return words[cell]
        case .null, .real: return nil
        case .text:
            let digits = bytes[textRange(cell)].prefix(19).prefix { 0x30...0x39 ~= $0 }
            guard digits.count < 19 else { return nil }
            return digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
    }
}
