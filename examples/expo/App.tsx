import { useEffect, useState } from 'react';
import { AppState, Button, FlatList, Text, TextInput, View } from 'react-native';
import type { User } from './client/session';
import { reload, session, useSession } from './session';

export default function App() {
  const state = useSession();
  const [isHalfSignedOut, setHalfSignedOut] = useState(false);

  // If the server cannot be reached, the token stays in the keychain, and the restarted app is signed in.
  const signOut = () =>
    session.signOut().then(
      () => setHalfSignedOut(false),
      () => setHalfSignedOut(true)
    );

  // React Native has no `online` event: ask again when the user comes back to the app.
  useEffect(() => {
    const subscription = AppState.addEventListener('change', (next) => {
      if (next === 'active' && state.status === 'unknown') void reload();
    });
    return () => subscription.remove();
  }, [state.status]);

  return (
    <View style={{ padding: 48 }}>
      {state.status === 'loading' && <Text>Loading …</Text>}
      {state.status === 'unknown' && (
        <>
          <Text>The server cannot be reached. You may still be signed in.</Text>
          <Button title="Try again" onPress={() => void reload()} />
        </>
      )}
      {state.status === 'signed-out' && isHalfSignedOut && (
        <>
          <Text accessibilityRole="alert">
            The server could not be reached, so this app is signed in again when it restarts.
          </Text>
          <Button title="Sign out again" onPress={() => void signOut()} />
        </>
      )}
      {state.status === 'signed-out' && <SignIn />}
      {state.status === 'signed-in' && (
        <Home key={state.user.id} user={state.user} onSignOut={() => void signOut()} />
      )}
    </View>
  );
}

function SignIn() {
  const [identifier, setIdentifier] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState('');
  const signIn = () =>
    session
      .signIn({ identifier, password, sessionDescription: 'The app' })
      .catch((error: Error) => setProblem(error.message));
  return (
    <>
      <TextInput
        accessibilityLabel="User name"
        autoCapitalize="none"
        autoComplete="username"
        value={identifier}
        onChangeText={setIdentifier}
      />
      <TextInput
        accessibilityLabel="Password"
        autoComplete="current-password"
        secureTextEntry
        value={password}
        onChangeText={setPassword}
      />
      <Button title="Sign in" onPress={() => void signIn()} />
      <Text accessibilityRole="alert">{problem}</Text>
    </>
  );
}

interface Device {
  id: string;
  description: string | null;
  current: boolean;
}

function Home({ user, onSignOut }: { user: User; onSignOut(): void }) {
  const [devices, setDevices] = useState<Device[]>([]);
  const [problem, setProblem] = useState('');

  const update = async () => {
    try {
      const response = await session.fetch('/api/users/me/sessions');
      if (!response.ok) throw new Error(`The server returned ${response.status}.`);
      setDevices(await response.json());
      setProblem('');
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  useEffect(() => void update(), []);

  return (
    <>
      <Text accessibilityRole="header">Signed in as {user.username}</Text>
      <FlatList
        data={devices}
        keyExtractor={({ id }) => id}
        renderItem={({ item }) => (
          <Text>
            {item.description} {item.current && '(this device)'}
          </Text>
        )}
      />
      <Button title="Update" onPress={() => void update()} />
      <Button title="Sign out" onPress={onSignOut} />
      <Text accessibilityRole="alert">{problem}</Text>
    </>
  );
}
