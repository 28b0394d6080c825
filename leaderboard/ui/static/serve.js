// The header where the pages stand alone: the source's name, and dark or light. Gradio follows the system and sets the
// class `dark` itself, so a reader's choice is put back each time.
const KEY = 'leaderboard-theme';
const header = element.querySelector('.ls-header');
const title = document.createElement('span'), button = document.createElement('button');
title.className = 'ls-title';
title.textContent = props.value.title;
button.className = 'ls-theme';
button.type = 'button';
const isDark = () => document.body.classList.contains('dark');
const read = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
const apply = () => {
  const choice = read();
  if ((choice === 'dark' || choice === 'light') && isDark() !== (choice === 'dark')) document.body.classList.toggle('dark', choice === 'dark');
  document.documentElement.style.colorScheme = isDark() ? 'dark' : 'light';
  button.textContent = isDark() ? 'Light theme' : 'Dark theme';
};
button.addEventListener('click', () => {
  try { localStorage.setItem(KEY, isDark() ? 'light' : 'dark'); } catch { /* private mode: for this page only */ }
  document.body.classList.toggle('dark');
  apply();
});
new MutationObserver(apply).observe(document.body, { attributes: true, attributeFilter: ['class'] });
header.replaceChildren(title, button);
apply();
