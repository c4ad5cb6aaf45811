package engines

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Cache {
	t.Helper()
	c, err := OpenCache(filepath.Join(t.TempDir(), "engines"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func build(t *testing.T, c *Cache, in Inputs) *Manifest {
	t.Helper()
	m, built, err := c.Build(context.Background(), Build{
		Inputs: in, About: About{Name: "predictor-s", ModelBytes: 1000},
		Run: func(dir, timing string) error { return runAs("", dir, timing) },
	})
	if err != nil || !built {
		t.Fatalf("built %v, %v", built, err)
	}
	return m
}

// names lists what a folder holds.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestBuildThenAcquire(t *testing.T) {
	c := open(t)
	key := keyOf(t, example())
	if _, err := c.Acquire(key); !errors.Is(err, ErrMissing) {
		t.Fatalf("an empty cache: %v", err)
	}
	if list, err := c.List(true); err != nil || len(list) != 0 {
		t.Fatalf("an empty cache: %v, %v", list, err)
	}
	if there(c.Dir()) {
		t.Fatal("who only looks leaves a folder behind")
	}
	m := build(t, c, example())
	e, err := c.Acquire(key)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Dir != filepath.Join(c.Dir(), key) || e.Manifest.About.Name != "predictor-s" || e.Manifest.Size() != 1<<20+1 {
		t.Errorf("found %+v", e)
	}
	if m.Key != key || len(m.Files) != 2 || m.Seconds < 0 {
		t.Errorf("manifest %+v", m)
	}
	if got, want := names(t, e.Dir), []string{"manifest.json", "net.engine", "net.profile"}; !slices.Equal(got, want) {
		t.Errorf("expected %q, found %q", want, got)
	}
	want := []string{key, key + ".lock", "build.lock", "timing"}
	if got := names(t, c.Dir()); !slices.Equal(got, want) {
		t.Errorf("expected %q, found %q", want, got)
	}
	again, built, err := c.Build(context.Background(), Build{Inputs: example(), Run: func(string, string) error { return errors.New("built twice") }})
	if err != nil || built || again.Key != key {
		t.Errorf("a second build, while the engine is open: %v, %v, %v", again, built, err)
	}
}

// Each way in which an engine can be damaged is found, said, and built anew.
func TestDamage(t *testing.T) {
	key := keyOf(t, example())
	for _, c := range []struct {
		name string
		do   func(dir string) error
		want string
	}{
		{"truncated", func(dir string) error { return os.Truncate(filepath.Join(dir, "net.engine"), 1000) }, "net.engine has 1000 bytes instead of 1048576"},
		{"flipped", func(dir string) error { return flip(filepath.Join(dir, "net.engine")) }, "net.engine has other bytes"},
		{"missing", func(dir string) error { return os.Remove(filepath.Join(dir, "net.profile")) }, "net.profile is missing"},
		{"extra", func(dir string) error { return os.WriteFile(filepath.Join(dir, "other.engine"), nil, 0o600) }, "other.engine does not belong here"},
		{"folder", func(dir string) error { return os.Mkdir(filepath.Join(dir, "sub"), 0o700) }, "sub is no plain file"},
		{"link", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "l.engine")) }, "l.engine is no plain file"},
		{"no manifest", func(dir string) error { return os.Remove(filepath.Join(dir, manifestName)) }, "no such file"},
		{"empty manifest", func(dir string) error { return os.Truncate(filepath.Join(dir, manifestName), 0) }, "EOF"},
		{"half a manifest", func(dir string) error { return os.Truncate(filepath.Join(dir, manifestName), 300) }, "unexpected EOF"},
		{"huge manifest", func(dir string) error { return os.Truncate(filepath.Join(dir, manifestName), 1<<30) }, "has more than 1048576 bytes"},
		{"foreign manifest", func(dir string) error { return foreign(dir) }, "its manifest is that of"},
		{"edited manifest", func(dir string) error { return edit(dir, `"10.3.0.26"`, `"10.4.0.26"`) }, "what it lists gives"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := open(t)
			build(t, cache, example())
			if err := c.do(filepath.Join(cache.Dir(), key)); err != nil {
				t.Fatal(err)
			}
			_, err := cache.Acquire(key)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Problem, c.want) {
				t.Fatalf("expected %q, found %v", c.want, err)
			}
			if _, err := cache.Acquire(key); !errors.Is(err, ErrMissing) {
				t.Errorf("after that it should be out of the way: %v", err)
			}
			list, _ := cache.List(true)
			if len(list) != 1 || list[0].State != Set || !strings.Contains(list[0].Problem, c.want) {
				t.Errorf("the list says %+v", list)
			}
			build(t, cache, example())
			e, err := cache.Acquire(key)
			if err != nil {
				t.Fatalf("built anew: %v", err)
			}
			e.Close()
		})
	}
}

// Build does not trust what is there, either.
func TestBuildReplacesDamage(t *testing.T) {
	c := open(t)
	build(t, c, example())
	if err := flip(filepath.Join(c.Dir(), keyOf(t, example()), "net.engine")); err != nil {
		t.Fatal(err)
	}
	build(t, c, example())
}

func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o600)
}

func edit(dir, old, fresh string) error {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), old, fresh, 1)), 0o600)
}

// foreign puts another engine's manifest in place, which is good in itself.
func foreign(dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	m.Inputs.Driver = "12.8"
	if m.Key, err = m.Inputs.Key(); err != nil {
		return err
	}
	text, err := m.text()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), text, 0o600)
}

// A build that fails in any way leaves nothing that could be taken for an engine.
func TestFailedBuilds(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(dir, timing string) error
		want string
	}{
		{"error", func(string, string) error { return errors.New("TensorRT says no") }, "TensorRT says no"},
		{"nothing", func(string, string) error { return nil }, "wrote no engine"},
		{"does not load", func(dir, _ string) error {
			if strings.HasSuffix(dir, "-new") {
				return os.WriteFile(filepath.Join(dir, "x.engine"), []byte("half"), 0o600)
			}
			return errors.New("cannot deserialize")
		}, "what was built does not load: cannot deserialize"},
		{"rebuilds", func(dir, _ string) error {
			return os.WriteFile(filepath.Join(dir, "x.engine"), []byte(dir), 0o600)
		}, "but built again: x.engine has "},
		{"folder", func(dir, _ string) error { _ = os.Mkdir(filepath.Join(dir, "sub"), 0o700); return nil }, "sub is no plain file"},
		{"hidden", func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, ".hidden"), nil, 0o600) }, "no name of a file of an engine"},
	} {
		cache := open(t)
		_, built, err := cache.Build(context.Background(), Build{Inputs: example(), Run: c.run})
		if err == nil || built || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: expected %q, found %v, %v", c.name, c.want, built, err)
		}
		if _, err := cache.Acquire(keyOf(t, example())); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, name := range names(t, cache.Dir()) {
			if !strings.HasSuffix(name, ".lock") {
				t.Errorf("%s: %s is left", c.name, name)
			}
		}
	}
}

// While a session opens an engine, nobody removes it; and who wants it meanwhile may open it, too.
func TestAcquireHolds(t *testing.T) {
	c := open(t)
	build(t, c, example())
	first, err := c.Acquire(keyOf(t, example()))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Acquire(keyOf(t, example()))
	if err != nil {
		t.Fatal(err)
	}
	list, _ := c.List(false)
	if err := c.Remove(list[0]); !errors.Is(err, ErrBusy) {
		t.Errorf("removed while it is open: %v", err)
	}
	first.Close()
	first.Close()
	second.Close()
	if err := c.Remove(list[0]); err != nil {
		t.Error(err)
	}
	if got := names(t, c.Dir()); !slices.Equal(got, []string{"build.lock", "timing"}) {
		t.Errorf("left after the removal: %q", got)
	}
}

func TestBuildWaitsNoLongerThanItsContext(t *testing.T) {
	c := open(t)
	if err := os.Mkdir(c.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := tryLock(c.path(keyOf(t, example()), lockSuffix), true)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	if _, err := c.Acquire(keyOf(t, example())); !errors.Is(err, ErrBusy) {
		t.Errorf("acquired while it is built: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, _, err = c.Build(ctx, Build{Inputs: example(), Wait: cancel, Run: func(string, string) error { return errors.New("ran") }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("found %v", err)
	}
}

// A lock whose file was removed while somebody waited for it is none.
func TestLockOfARemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	held, err := tryLock(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if !isStill(held.file, path) {
		t.Error("a file that is there counts as removed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if isStill(held.file, path) {
		t.Error("a removed file counts")
	}
	other, err := tryLock(path, true)
	if err != nil {
		t.Fatalf("a new file: %v", err)
	}
	defer other.release()
	if isStill(held.file, path) {
		t.Error("a removed file counts, since another has its name")
	}
	held.release()
	if _, err := tryLock(path, true); !errors.Is(err, ErrBusy) {
		t.Errorf("two have it: %v", err)
	}
}

func TestCacheOfEveryone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(dir); err == nil || !strings.Contains(err.Error(), "everyone may write") {
		t.Errorf("found %v", err)
	}
}

// Two processes that want the same engine: one builds, the other waits and uses it.
func TestTwoBuilders(t *testing.T) {
	c := open(t)
	a, b := startBuilder(t, "slow", c.Dir()), startBuilder(t, "slow", c.Dir())
	if errA, errB := a.Wait(), b.Wait(); errA != nil || errB != nil {
		t.Fatal(errA, errB, said(a), said(b))
	}
	out := said(a) + said(b)
	for text, times := range map[string]int{"writes\n": 1, "built: true": 1, "built: false": 1, "waits": 1} {
		if strings.Count(out, text) != times {
			t.Errorf("expected %d times %q, found: %s", times, text, out)
		}
	}
}

// A builder that is killed lets the lock go, and its half of an engine is never used.
func TestKilledBuilder(t *testing.T) {
	c := open(t)
	cmd := startBuilder(t, "half", c.Dir())
	half := filepath.Join(c.Dir(), keyOf(t, example())+stagingSuffix, "engine-new", "net.engine")
	for end := time.Now().Add(20 * time.Second); sizeOf(half) != 1<<19; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no half engine within 20 s")
		}
	}
	if list, _ := c.List(true); len(list) != 1 || list[0].State != Building {
		t.Errorf("while it is built: %+v", list)
	}
	if _, err := c.Acquire(keyOf(t, example())); !errors.Is(err, ErrBusy) {
		t.Errorf("while it is built: %v", err)
	}
	if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if list, _ := c.List(true); len(list) != 1 || list[0].State != Left {
		t.Errorf("after the kill: %+v", list)
	}
	if _, err := c.Acquire(keyOf(t, example())); !errors.Is(err, ErrMissing) {
		t.Errorf("after the kill: %v", err)
	}
	build(t, c, example())
	if list, _ := c.List(true); len(list) != 1 || list[0].State != Good {
		t.Errorf("built anew: %+v", list)
	}
}

// A library that does not notice a full disk leaves half an engine: it must not pass.
func TestFullDisk(t *testing.T) {
	c := open(t)
	for _, how := range []string{"limit 500000", "limit 4"} {
		cmd := startBuilder(t, how, c.Dir())
		if err := cmd.Wait(); err == nil {
			t.Errorf("%s: the build passed", how)
		}
		if !strings.Contains(said(cmd), "what was built does not load") {
			t.Errorf("%s: said %q", how, said(cmd))
		}
		if list, _ := c.List(true); len(list) != 0 {
			t.Errorf("%s: left %+v", how, list)
		}
	}
	build(t, c, example())
}

// A disk that has room for the engine and none for its manifest.
func TestFullDiskAtTheManifest(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a small disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1056768"); err != nil { // 1 MiB and 2 pages
		t.Skip("no small disk here: ", err)
	}
	defer unix.Unmount(dir, 0)
	c, err := OpenCache(filepath.Join(dir, "engines"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Build(context.Background(), Build{Inputs: example(), Run: func(dir, timing string) error { return runAs("", dir, timing) }})
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("found %v", err)
	}
	for _, name := range names(t, c.Dir()) {
		if !strings.HasSuffix(name, ".lock") {
			t.Errorf("left: %s", name)
		}
	}
}

func TestTimingIsShared(t *testing.T) {
	c := open(t)
	build(t, c, example())
	find := func(timing string) string {
		data, _ := os.ReadFile(filepath.Join(timing, "sm87.timing"))
		return string(data)
	}
	another := func(in Inputs) (seen string) {
		in.Width += 16
		_, _, err := c.Build(context.Background(), Build{Inputs: in, Run: func(dir, timing string) error {
			seen += find(timing) + ";"
			return runAs("", dir, timing)
		}})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := c.List(false)
		for _, e := range list {
			if e.Manifest.Inputs.Width == in.Width {
				if err := c.Remove(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		return seen
	}
	if got := another(example()); got != "measured;measured;" {
		t.Errorf("the second build sees %q", got)
	}
	other := example()
	other.TensorRT = "10.4.0"
	if got := another(other); got != ";measured;" {
		t.Errorf("another TensorRT sees %q", got)
	}
	if err := flip(filepath.Join(c.timingDir(example().Machine), "sm87.timing")); err != nil {
		t.Fatal(err)
	}
	if got := another(example()); got != ";measured;" {
		t.Errorf("after damage it sees %q", got)
	}
	fails := Build{Inputs: example(), Run: func(string, string) error { return errors.New("no") }}
	fails.Inputs.Height += 16
	if _, _, err := c.Build(context.Background(), fails); err == nil {
		t.Fatal("it should fail")
	}
	if got := another(example()); got != ";measured;" {
		t.Errorf("after a failed build it sees %q", got)
	}
}

// BenchmarkAcquire is what the check of every byte costs at each start.
func BenchmarkAcquire(b *testing.B) {
	c, err := OpenCache(filepath.Join(b.TempDir(), "engines"))
	if err != nil {
		b.Fatal(err)
	}
	const size = 64 << 20
	_, _, err = c.Build(context.Background(), Build{Inputs: example(), Run: func(dir, _ string) error {
		return os.WriteFile(filepath.Join(dir, "net.engine"), make([]byte, size), 0o600)
	}})
	if err != nil {
		b.Fatal(err)
	}
	key, _ := example().Key()
	b.SetBytes(size)
	for b.Loop() {
		e, err := c.Acquire(key)
		if err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
}
