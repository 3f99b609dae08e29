// Command oracle evaluates audit policies and encodes audit events with Kubernetes' own code, so
// that tests can compare Keepwatch with it.
//
//	oracle explain --policy FILE      NDJSON requests in, NDJSON decisions out
//	oracle encode --to kasten|v1      audit.k8s.io/v1 lines in, the other encoding out
//
// It has no logic of its own: it uses the policy loader, the rule evaluator and the audit codec of
// k8s.io/apiserver.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
)

// lineMax is the maximum length of an input line. An audit event with both bodies may have several MiB.
const lineMax = 64 << 20

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: oracle explain|encode")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	policyFile := flags.String("policy", "", "audit policy to explain")
	encoding := flags.String("to", "v1", "encoding to write: v1 or kasten")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}

	var answer func(line []byte) ([]byte, error)
	var err error
	switch args[0] {
	case "explain":
		answer, err = explainer(*policyFile)
	case "encode":
		answer, err = encoder(*encoding)
	default:
		err = fmt.Errorf("unknown command %q", args[0])
	}
	if err != nil {
		return err
	}
	return eachLine(in, out, answer)
}

// eachLine writes the answer for every non-empty line. It ends at the first error.
func eachLine(in io.Reader, out io.Writer, answer func(line []byte) ([]byte, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), lineMax)
	buffered := bufio.NewWriter(out)
	defer buffered.Flush()
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		answered, err := answer(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if _, err := buffered.Write(answered); err != nil {
			return err
		}
	}
	return lines.Err()
}
