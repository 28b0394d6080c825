// The visitor's choice of dark or light, kept in this browser. Gradio follows the system and sets the class `dark`
// on <body> itself, also later when the system changes, so a choice has to be put back each time.
(() => {
  if (window.iaTheme) return;
  const KEY = 'image-arena-theme';
  const read = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const apply = () => {
    const choice = read();
    if ((choice === 'dark' || choice === 'light') && document.body.classList.contains('dark') !== (choice === 'dark')) {
      document.body.classList.toggle('dark', choice === 'dark');
    }
    document.documentElement.style.colorScheme = document.body.classList.contains('dark') ? 'dark' : 'light';
  };
  new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  apply();
  window.iaTheme = {
    dark: () => document.body.classList.contains('dark'),
    toggle() {
      try { localStorage.setItem(KEY, this.dark() ? 'light' : 'dark'); } catch { /* private mode: for this page only */ }
      document.body.classList.toggle('dark');
      apply();
    },
  };
})();
